"""Names that carry caps, as values."""

from __future__ import annotations

from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.seeds import given
from txtahoe import BadCap, Cap
from txtahoe.capnames.names import CapName, digest_of

KEY, HASH = "aaaqeayeaudaocajbifqydiob4", "mrswmz3infvgw3dnnzxxa4lson2hk5txpb4xu634pv7h7aebqkbq"
CHK = f"URI:CHK:{KEY}:{HASH}:2:3:1000"
LIT = "URI:LIT:nbswy3dp"
COMPONENTS = st.text(min_size=1, max_size=8).filter(lambda text: "/" not in text)


class CapNames(SynchronousTestCase):
    def test_the_cap_stands_before_the_name_of_the_file(self) -> None:
        name = CapName.parse(f"docs/2026/{CHK}/report.pdf")
        self.assertEqual(name, CapName("docs/2026", Cap.parse(CHK), "report.pdf"))
        self.assertEqual(CapName.parse(f"{LIT}/f"), CapName("", Cap.parse(LIT), "f"))

    def test_names_without_a_cap(self) -> None:
        for text in ("", "f", "docs/f", CHK, f"docs/{CHK}", f"{CHK}/docs/f", "uri/URI/f"):
            self.assertIsNone(CapName.parse(text), text)

    def test_other_caps_are_refused_and_not_shown(self) -> None:
        for wrong in (
            f"URI:SSK:{KEY}:{HASH}",
            f"URI:SSK-RO:{KEY}:{HASH}",
            f"URI:DIR2:{KEY}:{HASH}",
            f"URI:DIR2-CHK:{KEY}:{HASH}:2:3:1000",
            f"URI:CHK-Verifier:{KEY}:{HASH}:2:3:1000",
            f"URI:CHK:{KEY}:{HASH}",
            f"URI:NEW:{KEY}",
            "URI:",
        ):
            error = self.assertRaises(BadCap, CapName.parse, f"docs/{wrong}/f")
            self.assertNotIn(KEY, str(error))

    def test_a_name_shows_no_cap(self) -> None:
        name = CapName.parse(f"docs/{CHK}/f")
        self.assertNotIn(KEY, repr(name))
        self.assertNotIn(KEY, f"{name}")

    @given(st.lists(COMPONENTS, max_size=3), COMPONENTS)
    def test_any_name_comes_back_from_its_text_and_from_its_link(
        self, directories: list[str], file: str
    ) -> None:
        name = CapName("/".join(directories), Cap.parse(CHK), file)
        self.assertEqual(CapName.parse(name.text), name)
        self.assertEqual(CapName.of_link(name.label, name.cap), name)
        self.assertNotIn("/", name.label)

    def test_links_of_others_are_no_names(self) -> None:
        cap = Cap.parse(CHK)
        for label in ("f", "docs%2Ff", "%2F", f"docs%2F{Cap.parse(LIT).fingerprint}%2Ff", ""):
            self.assertIsNone(CapName.of_link(label, cap))
        mutable = Cap.parse(f"URI:SSK:{KEY}:{HASH}")
        self.assertIsNone(CapName.of_link(f"{mutable.fingerprint}%2Ff", mutable))

    def test_digests(self) -> None:
        digests = {digest_of(f"docs/{n}") for n in range(1000)}
        self.assertEqual(len(digests), 1000)
        self.assertLess(max(digests), 2**64)
