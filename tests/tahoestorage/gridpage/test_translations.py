"""The German and French catalogues have every text of the admin's pages, and no other."""

from __future__ import annotations

import ast
import re
from gettext import GNUTranslations
from pathlib import Path

from django.core.files.base import ContentFile
from django.utils.translation.template import templatize
from twisted.trial.unittest import SynchronousTestCase

import tahoestorage
from tests.tahoestorage.gridpage.case import GRID_PAGE, AdminTestCase, node, words

ROOM = Path(tahoestorage.__file__).parent
LANGUAGES = ("de", "fr")
_CALL = re.compile(
    r"""\b(?:n?gettext(?:_lazy)?|_)\(\s*u?("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
    r"""(?:\s*,\s*u?("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'))?"""
)


def marked_texts() -> set[str]:
    """The texts that code and templates mark for translation."""
    sources = [path.read_text() for path in ROOM.rglob("*.py")]
    sources += [templatize(path.read_text()) for path in ROOM.glob("templates/**/*.html")]
    found = [text for source in sources for match in _CALL.findall(source) for text in match]
    return {ast.literal_eval(text) for text in found if text}


def written(language: str) -> tuple[str, dict[str, str]]:
    """The text of a .po file, and its translations; each plural form counts as one."""
    source = (ROOM / f"locale/{language}/LC_MESSAGES/django.po").read_text()
    pairs: dict[str, str] = {}
    for entry in source.split("\n\n")[1:]:
        ids = re.findall(r'^msgid(?:_plural)? (".*")$', entry, re.MULTILINE)
        texts = re.findall(r'^msgstr(?:\[\d\])? (".*")$', entry, re.MULTILINE)
        pairs |= {
            ast.literal_eval(id_): ast.literal_eval(text)
            for id_, text in zip(ids, texts, strict=True)
        }
    return source, pairs


class CatalogueTests(SynchronousTestCase):
    def test_no_text_is_missing_fuzzy_or_left_over(self) -> None:
        marked = marked_texts()
        self.assertGreater(len(marked), 100)
        for language in LANGUAGES:
            source, pairs = written(language)
            self.assertEqual(set(pairs), marked, language)
            self.assertEqual([id_ for id_, text in pairs.items() if not text], [])
            self.assertNotIn("fuzzy", source)

    def test_placeholders_are_kept(self) -> None:
        for language in LANGUAGES:
            for id_, text in written(language)[1].items():
                kept = [sorted(re.findall(r"%\(\w+\)s|\{\w+\}", each)) for each in (id_, text)]
                self.assertEqual(*kept, f"{language}: {id_}")

    def test_the_compiled_catalogue_is_made_from_the_source(self) -> None:
        for language in LANGUAGES:
            path = ROOM / f"locale/{language}/LC_MESSAGES/django.mo"
            with path.open("rb") as file:
                compiled = GNUTranslations(file)
            texts = {text for id_, text in compiled._catalog.items() if id_}
            self.assertEqual(texts, set(written(language)[1].values()), language)


class GermanPage(AdminTestCase):
    def test_the_pages_are_in_the_language_of_the_visitor(self) -> None:
        self.storage.save("a/b.bin", ContentFile(b"x" * 1000))
        self.override(LANGUAGE_CODE="de")
        said = words(self.get(GRID_PAGE))
        self.assertIn("Gateways und Server", said)
        self.assertIn("Der ganze Baum wurde noch nie geprüft", said)
        self.assertIn("1000 Bytes 1 Datei", said)
        said = words(self.get(node("a/b.bin")))
        self.assertIn("✓ Gesund: 3 von 3 Shares sind gut, und 2 genügen zum Lesen.", said)
        self.override(LANGUAGE_CODE="fr")
        self.assertIn("Passerelles et serveurs", words(self.get(GRID_PAGE)))
