"""The files that rows of the databases name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from attrs import frozen
from django.apps import apps
from django.core.files.storage import storages
from django.db import connections, router
from django.db.models import FileField, Model, QuerySet

from tahoestorage.capstorage import TahoeCapStorage
from tahoestorage.grid.paths import Location
from tahoestorage.storage import TahoeStorage
from txtahoe.capnames.names import is_cap
from txtahoe.tree.paths import Path

_CHUNK = 2000
# The codes of strftime, with the flags that some systems know.
_DIRECTIVE = re.compile("(%[-_0^#]?.)")


@frozen
class Column:
    """A file field of a table. `location`: where the names of its storage begin."""

    model: type[Model]
    field: FileField
    location: Location

    def __str__(self) -> str:
        return f"{self.model._meta.label}.{self.field.name}"

    def query(self, database: str) -> QuerySet[Any]:
        # Managers may hide rows.
        return QuerySet(self.model).using(database).order_by()

    @property
    def databases(self) -> list[str]:
        """The databases that have its table now."""
        return [name for name in connections if _has_table(name, self.model)]

    def references(self) -> Iterator[Reference]:
        """The file names in all databases. Raises: the errors of django.db."""
        for database in self.databases:
            rows = self.query(database).values_list("pk", self.field.attname)
            for pk, name in rows.iterator(chunk_size=_CHUNK):
                if name:
                    yield Reference(self, database, pk, str(name))

    @property
    def storage(self) -> TahoeStorage:
        return cast(TahoeStorage, self.field.storage)

    @property
    def is_of_caps(self) -> bool:
        """Whether the names in it may carry caps."""
        return isinstance(self.storage, TahoeCapStorage)

    def is_upload_directory(self, directory: Path) -> bool:
        """Whether `upload_to` puts files there at some date; False if it is a function."""
        if callable(self.field.upload_to):
            return False
        given = self.location.path_of(str(self.field.upload_to))
        return len(given) == len(directory) and all(map(_can_become, given, directory))


@frozen
class Reference:
    """A file name in a row with the primary key `pk`."""

    column: Column
    database: str
    pk: Any
    name: str

    @property
    def is_there(self) -> bool:
        """Whether the row still has this name."""
        row = {"pk": self.pk, self.column.field.attname: self.name}
        return self.column.query(self.database).filter(**row).exists()

    @property
    def is_carrying(self) -> bool:
        """Whether the name carries the cap of the file, so that no directory leads to it."""
        above = self.name.rpartition("/")[0]
        return self.column.is_of_caps and is_cap(above.rpartition("/")[2])

    def path(self) -> Path:
        """The path of the file. Raises: SuspiciousFileOperation."""
        return self.column.location.path_of(self.name)


def every_file_field() -> Iterator[tuple[type[Model], FileField]]:
    """Each file field, once, with the model that has its column; proxies have none."""
    for model in apps.get_models(include_auto_created=True):
        for each in model._meta.local_fields:
            if isinstance(each, FileField):
                yield model, each


def columns(is_wanted: Callable[[Column], bool]) -> list[Column]:
    """The columns of file fields on a grid. If two models have one table, they count once."""
    found: dict[tuple[str, str | None], Column] = {}
    for model, each in every_file_field():
        if isinstance(each.storage, TahoeStorage):
            column = Column(model, each, Location(each.storage.location))
            if is_wanted(column):
                found.setdefault((model._meta.db_table, each.column), column)
    return list(found.values())


def columns_around(storage: TahoeStorage) -> list[Column]:
    """The columns of fields with this storage, or with one whose location is around it."""
    cap, root = storage.connection.base_cap, Location(storage.location).root

    def is_around(column: Column) -> bool:
        is_same_root = column.storage.connection.base_cap.names_same(cap)
        return is_same_root and root[: len(column.location.root)] == column.location.root

    return columns(is_around)


def site_storages() -> Iterator[TahoeStorage]:
    """The storages of STORAGES, and those of file fields. Raises: ImproperlyConfigured."""
    fields = (field.storage for _, field in every_file_field())
    every: Iterable[Any] = (storages[alias] for alias in storages.backends)
    for storage in (*every, *fields):
        if isinstance(storage, TahoeStorage):
            yield storage


def _can_become(upload_to: str, name: str) -> bool:
    """Whether this part of an `upload_to` becomes a directory of that name at some date."""
    parts = _DIRECTIVE.split(upload_to)
    parts[1::2] = ["%" if directive == "%%" else ".+" for directive in parts[1::2]]
    parts[::2] = map(re.escape, parts[::2])
    return re.fullmatch("".join(parts), name, re.DOTALL) is not None


def _has_table(database: str, model: type[Model]) -> bool:
    introspection = connections[database].introspection
    table = introspection.identifier_converter(model._meta.db_table)
    is_allowed = router.allow_migrate_model(database, model)
    return is_allowed and table in introspection.table_names(include_views=True)
