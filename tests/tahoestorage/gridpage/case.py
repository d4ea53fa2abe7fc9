"""The base of tests of the admin's pages."""

from __future__ import annotations

import re
from functools import cache
from html import unescape
from itertools import count
from typing import Any
from urllib.parse import urlencode

from django.core.management import call_command
from django.http import HttpResponse
from django.test import Client
from django.utils import translation

from tahoestorage.care.wholetree import WholeTree
from tahoestorage.gridpage import overview, placement
from tests.secrets.search import Secrets
from tests.tahoestorage.case import StorageTestCase
from txtahoe import Cap
from txtahoe.maintenance import check, keep_check

APPS = (
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "tahoestorage",
)
TAHOE = "tahoestorage.storage.TahoeStorage"
FILES = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
GRID_PAGE = "/admin/tahoestorage/grid/"

_numbers = count(1)


def node(path: str, **query: object) -> str:
    """The URL of the page of a file or directory."""
    return f"{GRID_PAGE}node/?{urlencode({'path': path, **query})}"


def words(page: str) -> str:
    """The text of a page below its headers."""
    content = page.partition('id="content-start"')[2].partition(">")[2]
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", content)).split())


@cache
def _make_tables() -> None:
    call_command("migrate", run_syncdb=True, verbosity=0)


class AdminTestCase(StorageTestCase):
    """A site with an admin, whose default storage is on an empty directory of the shared grid."""

    def setUp(self) -> None:
        super().setUp()
        # A request leaves its language to the thread.
        self.addCleanup(translation.deactivate)
        self.secrets = Secrets()
        self.keep_secret(Cap.parse(self.cap))
        self.override(
            INSTALLED_APPS=APPS,
            ROOT_URLCONF="tests.tahoestorage.gridpage.urls",
            MIDDLEWARE=[
                "django.contrib.sessions.middleware.SessionMiddleware",
                "django.middleware.csrf.CsrfViewMiddleware",
                "django.contrib.auth.middleware.AuthenticationMiddleware",
                "django.contrib.messages.middleware.MessageMiddleware",
            ],
            TEMPLATES=[
                {
                    "BACKEND": "django.template.backends.django.DjangoTemplates",
                    "APP_DIRS": True,
                    "OPTIONS": {
                        "context_processors": [
                            "django.template.context_processors.request",
                            "django.contrib.auth.context_processors.auth",
                            "django.contrib.messages.context_processors.messages",
                        ]
                    },
                }
            ],
            # The tables are made from the models, which is faster than to migrate.
            MIGRATION_MODULES={name.rpartition(".")[2]: None for name in APPS},
            PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
            STATIC_URL="static/",
            ALLOWED_HOSTS=["*"],
        )
        self.use(self.options())
        for module in (overview, placement):
            self.patch(module, "PATIENCE", 60.0)  # also on a slow machine
        self.patch(placement, "LONG_PATIENCE", 60.0)
        _make_tables()
        self.browser = self.log_in("view_grid", "check_grid", "open_grid")

    def options(self, **changed: Any) -> dict[str, Any]:
        """The options of the storage, with changes."""
        return {"tahoe_base_url": self.gateway, "tahoe_base_cap": self.cap, **changed}

    def use(self, default: dict[str, Any], **others: dict[str, Any]) -> None:
        """Set the storages of the site, by their options."""
        every = {"default": default, **others}
        storages = {a: {"BACKEND": TAHOE, "OPTIONS": options} for a, options in every.items()}
        self.override(STORAGES={**storages, "staticfiles": FILES})

    def log_in(self, *permissions: str, is_staff: bool = True, **options: Any) -> Client:
        """The browser of a new user with permissions of this app."""
        from django.contrib.auth.models import Permission, User

        user = User.objects.create(username=f"staff-{next(_numbers)}", is_staff=is_staff)
        self.addCleanup(user.delete)
        held = Permission.objects.filter(
            content_type__app_label="tahoestorage", codename__in=permissions
        )
        self.assertEqual(held.count(), len(permissions))
        user.user_permissions.set(held)
        browser = Client(**options)
        browser.force_login(user)
        return browser

    def keep_secret(self, cap: Cap) -> None:
        """Let no page have a piece of this cap, or of a weaker cap that can be made of it."""
        for each in (cap, cap.reader, cap.verifier):
            if each is not None:
                self.secrets.add(each)

    def get(self, address: str, status: int = 200) -> str:
        """Get a page. It must not have a cap."""
        return self.looked_at(self.browser.get(address), status)

    def post(self, address: str, action: str, status: int = 200) -> str:
        """Press a button, and return the next page."""
        answer = self.browser.post(address, {"action": action}, follow=True)
        return self.looked_at(answer, status)

    def looked_at(self, response: HttpResponse, status: int) -> str:
        page = response.content.decode()
        self.assertEqual(response.status_code, status, page)
        self.assertNotIn("URI:", page)
        self.assertEqual(self.secrets.found_in(f"{page} {response.headers}"), set())
        return page

    @property
    def whole(self) -> WholeTree:
        return WholeTree.of(self.storage)

    def cap_of(self, path: str) -> Cap:
        """The cap at a path, which is a secret from now on."""
        cap: Cap = self.whole.run(lambda tree, _: tree.resolve(path)).cap
        self.keep_secret(cap)
        return cap

    def keep_check(self) -> None:
        """Check, and keep the result as `manage.py tahoe check` does."""

        async def work(tree: Any, _: object) -> None:
            await keep_check(tree, await check(tree))

        self.whole.run(work)
