"""Unavailable is not missing: lost shares and servers that are away."""

from __future__ import annotations

from tests.contract.case import DATA, PLAIN, Place, everywhere
from tests.contract.test_directories import LITERAL, entry

NO_SHARES = "NoSharesError: no shares could be found. Zero shares usually indicates a corrupt URI"
TOO_FEW = "NotEnoughSharesError: This indicates that some servers were unavailable"
UNRECOVERABLE = "UnrecoverableFileError: the directory (or mutable file) could not be retrieved"
UNHAPPY = "allmydata.interfaces.UploadUnhappinessError"


@everywhere
class LostShares(Place):
    def test_a_lost_immutable_file_is_gone_but_its_size_is_known(self) -> None:
        for shares, text in ((3, NO_SHARES), (2, TOO_FEW)):
            cap = self.upload(b"lost %d" % shares * 100)
            self.lose(cap, shares)
            answer = self.ask("GET", cap)
            self.assertEqual(answer.status, 410)
            self.assertTrue(answer.text.startswith(text))
            # The cap itself holds the size: the gateway asks no server.
            self.assertEqual(self.ask("HEAD", cap).length, 600)
            self.assertEqual(self.ask("GET", cap, t="json").json[1]["size"], 600)

    def test_two_shares_of_three_are_enough(self) -> None:
        for cap in (self.upload(DATA + b"two"), self.upload(format="SDMF")):
            self.lose(cap, 1)
            self.assertEqual(self.ask("GET", cap).status, 200)

    def test_a_lost_mutable_file_is_gone(self) -> None:
        for format_ in ("SDMF", "MDMF"):
            cap = self.upload(format=format_)
            self.lose(cap, 2)
            for method in ("GET", "HEAD", "PUT"):
                answer = self.ask(method, cap, body=b"x" if method == "PUT" else b"")
                self.assertEqual(answer.status, 410)
                self.assertEqual(method == "HEAD" or answer.text.startswith(UNRECOVERABLE), True)
            self.assertNotIn("size", self.ask("GET", cap, t="json").json[1])

    def test_a_lost_directory_is_gone_but_has_a_page(self) -> None:
        cap = self.mkdir({"a": LITERAL})
        self.lose(cap)
        answer = self.ask("GET", cap, t="json")
        self.assertEqual((answer.status, answer.headers["content-type"]), (410, "text/html"))
        self.assertTrue(answer.json["error"].startswith(UNRECOVERABLE))
        for method, path in (("GET", ("a",)), ("PUT", ("new",)), ("DELETE", ("a",))):
            answer = self.ask(method, cap, *path, headers=PLAIN)
            self.assertEqual(answer.status, 410)
            self.assertIn(f"<p>{UNRECOVERABLE}", answer.text)
        for body, query in (
            ({"a": entry(LITERAL)}, {"t": "set_children"}),
            (b"", {"t": "mkdir", "name": "new"}),
            (b"", {"t": "unlink", "name": "a"}),
        ):
            answer = self.ask("POST", cap, body=body, **query)
            self.assertEqual(answer.status, 410)
            self.assertTrue(answer.text.startswith(UNRECOVERABLE))
        # Its page needs no share.
        self.assertEqual(self.ask("GET", cap).status, 200)

    def test_a_lost_immutable_directory_is_gone(self) -> None:
        children = {"a": entry(self.upload()), "lost": entry(LITERAL)}
        cap = self.ask("POST", body=children, t="mkdir-immutable").text
        self.lose(cap)
        answer = self.ask("GET", cap, t="json")
        self.assertEqual(answer.status, 410)
        self.assertTrue(answer.json["error"].startswith(NO_SHARES))
        self.ask("POST", body=children, t="mkdir-immutable")

    def test_a_file_that_was_never_there_is_gone(self) -> None:
        cap = self.upload()
        other = f"URI:CHK:{'b' if cap[8] == 'a' else 'a'}{cap[9:]}"
        answer = self.ask("GET", other)
        self.assertEqual(answer.status, 410)
        self.assertTrue(answer.text.startswith(NO_SHARES))


@everywhere
class ServersAway(Place):
    def test_one_server_of_three_is_not_enough(self) -> None:
        file, mutable = self.upload(b"away" * 100), self.upload(format="SDMF")
        cap = self.mkdir({"a": LITERAL})
        self.connect_servers(1)
        try:
            self.assertEqual(self.ask("GET", file).status, 410)
            self.assertEqual(self.ask("GET", mutable).status, 410)
            self.assertEqual(self.ask("GET", cap, t="json").status, 410)
            self.assertEqual(self.ask("GET", LITERAL).body, b"hello")
            self.assertEqual(self.ask("PUT", body=b"literal").status, 200)
            answer = self.ask("PUT", body=DATA + b"unhappy", headers=PLAIN)
            self.assertEqual((answer.status, answer.raised), (500, UNHAPPY))
            self.assertIn("on only 1 server(s). We were asked to place shares on at", answer.text)
            # A directory is made without an error, with all its shares on one server.
            made = self.ask("POST", t="mkdir")
            self.assertEqual((made.status, self.caps(made.text)), (200, {}))
            statuses = [
                server["connection_status"].lower().startswith("connected")
                for server in self.ask("GET", "", t="json").json["servers"]
            ]
            self.assertEqual(sorted(statuses), [False, False, True])
        finally:
            self.connect_servers(3)
        self.assertEqual(self.ask("GET", file).body, b"away" * 100)
        self.assertEqual(self.caps(cap), {"a": LITERAL})
        self.assertEqual(self.caps(made.text), {})
