"""Uploads to a server process, on a real grid."""

from __future__ import annotations

import os
from pathlib import Path

from tests.bench.memory import MemoryGrowth
from tests.grid.proxy import Proxy
from tests.needs import TIME, needs
from tests.servers.upload_server import Sending, Server, upload_together
from tests.tahoestorage.case import StorageTestCase
from tests.waiting import wait_until

_MEGABYTE = 2**20


class Serving(StorageTestCase):
    def serve(self, gateway: str) -> Server:
        temporary = Path(self.mktemp()).absolute()
        temporary.mkdir()
        server = Server(gateway, self.cap, temporary).__enter__()
        self.addCleanup(server.__exit__)
        return server

    @needs(TIME)
    def test_a_large_file_needs_little_memory_and_no_temporary_file(self) -> None:
        server = self.serve(self.gateway)
        block = os.urandom(_MEGABYTE)
        files_before = server.open_files()
        with MemoryGrowth(server.worker) as growth:
            sending = Sending(server.port, 300 * _MEGABYTE, "large")
            for number in range(300):
                sending.send(block)
                if number % 10 == 0:
                    self.assertEqual(server.open_files() - files_before, set())
                    self.assertEqual(list(server.temporary.iterdir()), [])
            answer = sending.answer()
        self.assertEqual(
            answer["files"], {"file": ["TahoeUploadedFile", len(block) * 300, "large"]}
        )
        self.assertEqual(self.storage.size("large"), len(block) * 300)
        assert growth.size is not None
        self.assertLess(growth.size, 32 * _MEGABYTE)

    @needs(TIME)
    def test_a_form_of_fifty_files_needs_little_memory_and_saves_them_all(self) -> None:
        server = self.serve(self.gateway)
        block = os.urandom(_MEGABYTE)
        names = [f"{number}.bin" for number in range(50)]
        with MemoryGrowth(server.worker) as growth:
            answer = upload_together(server.port, names, block, 6)
        told = {name: ["TahoeUploadedFile", 6 * _MEGABYTE, name] for name in names}
        self.assertEqual(answer["files"], told)
        self.assertEqual(list(server.temporary.iterdir()), [])
        for name in names[::7]:
            self.assertEqual(self.read(name), block * 6)
        assert growth.size is not None
        self.assertLess(growth.size, 32 * _MEGABYTE)

    def test_a_browser_that_leaves_ends_its_upload_only(self) -> None:
        proxy = Proxy(self.gateway).__enter__()
        self.addCleanup(proxy.__exit__)
        server = self.serve(proxy.url)
        others = [Sending(server.port, 3 * _MEGABYTE, f"{number}") for number in range(2)]
        for sending in others:
            sending.send(b"1" * 2 * _MEGABYTE)
        wait_until(lambda: proxy.requests.count("PUT /uri") == 3)
        gone = Sending(server.port, 3 * _MEGABYTE, "gone")
        gone.send(b"2" * 2 * _MEGABYTE)
        wait_until(lambda: proxy.requests.count("PUT /uri") == 4)
        before = proxy.connections
        gone.break_off()
        wait_until(lambda: proxy.connections == before - 1)
        for sending in others:
            sending.send(b"3" * _MEGABYTE)
            sending.answer()
        self.assertEqual(set(self.new_storage().listdir("")[1]), {"first", "0", "1"})
