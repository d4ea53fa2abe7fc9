"""The reactor thread in processes of every kind, each a real one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

from tahoestorage.care.wholetree import WholeTree
from tests.environment import environment
from tests.needs import TIME, needs
from tests.tahoestorage.case import StorageTestCase
from txtahoe.tree.paths import ANCHORS

BEGIN = """
import os, sys, threading, time
import tests
from django.core.files.base import ContentFile
from tahoestorage.storage import TahoeStorage

url, cap = os.environ["GATEWAY"], os.environ["CAP"]
ts = TahoeStorage(tahoe_base_url=url, tahoe_base_cap=cap)
"""


class Processes(StorageTestCase):
    def script(self, body: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            # A warning that is an error in the reactor thread must not leave the caller waiting.
            [
                sys.executable,
                "-W",
                "error",
                *("-W", "ignore:::multiprocessing"),
                "-c",
                BEGIN + textwrap.dedent(body),
            ],
            env=environment(GATEWAY=self.gateway, CAP=self.cap),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run_script(self, body: str) -> str:
        process = self.script(body)
        output, _ = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 0, output)
        return output

    def test_nothing_starts_before_the_first_call(self) -> None:
        self.run_script("""
            assert threading.active_count() == 1, threading.enumerate()
            assert "twisted.internet.reactor" not in sys.modules
            repr(ts), ts.deconstruct()
            assert threading.active_count() == 1
            ts.exists("f")
            assert threading.active_count() > 1
            assert "twisted.internet.reactor" not in sys.modules
        """)

    def test_many_threads_share_one_reactor(self) -> None:
        self.run_script("""
            saved = []
            def save(number):
                for turn in range(3):
                    saved.append(ts.save(f"{number % 3}/f", ContentFile(b"%d" % number * 100)))
            threads = [threading.Thread(target=save, args=(n,)) for n in range(12)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
            assert len(set(saved)) == 36, saved
            names = [thread.name for thread in threading.enumerate()]
            assert names.count("CrochetReactor") == 1, names
        """)

    def test_parent_and_child_go_on_after_a_fork(self) -> None:
        self.run_script("""
            ts.save("f", ContentFile(b"0123456789" * 100_000))
            file = ts.open("f")
            file.read(10)
            children = []
            for number in range(3):
                pid = os.fork()
                if pid == 0:
                    status = 1
                    try:
                        assert ts.save(f"child {number}", ContentFile(b"c" * 100))
                        assert file.read(10) == b"0123456789"
                        file.close()
                        assert ts.open("f").read() == b"0123456789" * 100_000
                        grandchild = os.fork()
                        if grandchild == 0:
                            ts.save(f"grandchild {number}", ContentFile(b"g"))
                            os._exit(0)
                        assert os.waitpid(grandchild, 0)[1] == 0
                        status = 0
                    finally:
                        os._exit(status)
                children.append(pid)
                ts.save(f"parent {number}", ContentFile(b"p" * 100))
                assert file.read(10) == b"0123456789"
            assert all(os.waitpid(pid, 0)[1] == 0 for pid in children)
            file.seek(500_000)
            assert file.read(10) == b"0123456789"
            names = set(ts.listdir("")[1])
            for kind in ("parent", "child", "grandchild"):
                assert {f"{kind} {n}" for n in range(3)} <= names, names
        """)

    def test_a_fork_while_other_threads_work_disturbs_nobody(self) -> None:
        self.run_script("""
            def save(name):
                for turn in range(5):
                    ts.save(name, ContentFile(name.encode() * 2000))
            workers = [threading.Thread(target=save, args=(f"w{n}",)) for n in range(4)]
            for worker in workers: worker.start()
            for number in range(3):
                time.sleep(0.1)
                pid = os.fork()
                if pid == 0:
                    try:
                        ts.save(f"c{number}", ContentFile(b"x" * 2000))
                        os._exit(0)
                    finally:
                        os._exit(1)
                assert os.waitpid(pid, 0)[1] == 0
            for worker in workers: worker.join()
            assert len(ts.listdir("")[1]) == 23
        """)

    def test_links_are_made_by_the_process_that_saved_the_file(self) -> None:
        self.run_script("""
            from tahoestorage.capstorage import TahoeCapStorage
            caps = TahoeCapStorage(tahoe_base_url=url, tahoe_base_cap=cap)
            def linked():
                return {file for _, _, files in caps.walk() for file in files}
            caps.save("parent", ContentFile(b"p" * 100))
            pid = os.fork()
            if pid == 0:
                try:
                    caps.save("child", ContentFile(b"c" * 100))
                    caps.flush()
                    assert linked() == {"child"}, linked()
                    os._exit(0)
                finally:
                    os._exit(1)
            assert os.waitpid(pid, 0)[1] == 0
            caps.flush()
            assert linked() == {"parent", "child"}, linked()
            caps.save("lost", ContentFile(b"l" * 100))  # and nobody waits for it
        """)
        links = WholeTree.of(self.storage).run(lambda tree, _: tree.list([ANCHORS]))
        self.assertEqual(len(links), 1)

    @needs(TIME)
    def test_multiprocessing_works_by_each_start_method(self) -> None:
        script = os.path.join(self.mktemp())
        os.makedirs(os.path.dirname(script) or ".", exist_ok=True)
        with open(script, "w") as file:
            file.write(BEGIN)
            file.write(
                textwrap.dedent("""
                import multiprocessing
                def work(name):
                    return ts.save(name, ContentFile(b"x" * 100))
                if __name__ == "__main__":
                    ts.exists("before")
                    for method in multiprocessing.get_all_start_methods():
                        with multiprocessing.get_context(method).Pool(2) as pool:
                            names = [f"{method} {n}" for n in range(4)]
                            assert pool.map(work, names) == names
                    assert len(ts.listdir("")[1]) == 12
                """)
            )
        done = subprocess.run(
            [sys.executable, script],
            env=environment(GATEWAY=self.gateway, CAP=self.cap),
            capture_output=True,
            text=True,
            timeout=110,
        )
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_running_asyncio_loop_is_not_blocked(self) -> None:
        self.run_script("""
            import asyncio
            from django.core.exceptions import SynchronousOnlyOperation
            async def main():
                try:
                    ts.exists("f")
                except SynchronousOnlyOperation as error:
                    assert "sync_to_async" in str(error)
                else:
                    raise AssertionError("it blocked the loop")
                assert not await asyncio.to_thread(ts.exists, "f")
                os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
                assert not ts.exists("f")
            asyncio.run(main())
        """)

    def test_the_reactor_thread_is_not_blocked(self) -> None:
        self.run_script("""
            from django.core.exceptions import SynchronousOnlyOperation
            from tahoestorage.reactor.waiting import done, in_reactor
            async def wrong(caller):
                return ts.exists("f")
            try:
                done(in_reactor(wrong))
            except SynchronousOnlyOperation as error:
                assert "deferToThread" in str(error)
            else:
                raise AssertionError("it waited for itself")
            assert not ts.exists("f")
        """)

    @needs(TIME)
    def test_a_reactor_on_an_asyncio_loop_does_not_wait_for_itself(self) -> None:
        self.run_script("""
            import asyncio
            from twisted.internet import asyncioreactor
            loop = asyncio.new_event_loop()
            asyncioreactor.install(loop)
            from twisted.internet import reactor
            from tahoestorage.reactor.waiting import in_any_thread
            results = []
            async def use():
                # As an asynchronous view of a site in daphne.
                await ts.asave("f", ContentFile(b"x" * 100))
                results.append(in_any_thread(lambda: ts.open("f").read(), 20))
                results.append(await ts.asize("f"))
                reactor.stop()
            task = loop.create_task(use())
            reactor.callLater(30, reactor.stop)
            reactor.run()
            assert results == [b"x" * 100, 100], results
        """)

    @needs(TIME)
    def test_the_thread_of_an_applications_reactor_is_not_blocked(self) -> None:
        self.run_script("""
            from django.core.exceptions import SynchronousOnlyOperation
            from twisted.internet import reactor
            results = []
            def wrong():
                try:
                    ts.exists("f")
                except SynchronousOnlyOperation as error:
                    results.append(error)
                reactor.stop()
            reactor.callWhenRunning(wrong)
            reactor.run()
            assert len(results) == 1
        """)

    def test_every_thread_of_a_forked_process_can_call(self) -> None:
        self.run_script("""
            ts.exists("f")
            pid = os.fork()
            if pid == 0:
                failures = []
                def use():
                    try:
                        ts.exists("f")
                    except BaseException as error:
                        failures.append(error)
                # The first one tends to get the identifier of the parent's reactor thread.
                threads = [threading.Thread(target=use) for _ in range(8)]
                for thread in threads: thread.start()
                for thread in threads: thread.join()
                os._exit(len(failures))
            assert os.waitpid(pid, 0)[1] == 0
        """)

    @needs(TIME)
    def test_an_application_keeps_its_running_reactor(self) -> None:
        self.run_script("""
            from twisted.internet import reactor
            from twisted.internet.threads import deferToThread
            def work():
                ts.save("f", ContentFile(b"x" * 3_000_000))
                assert ts.open("f").read() == b"x" * 3_000_000
                return [thread.name for thread in threading.enumerate()]
            results = []
            def start():
                deferToThread(work).addBoth(results.append).addBoth(lambda _: reactor.stop())
            reactor.callWhenRunning(start)
            reactor.run()
            assert "CrochetReactor" not in results[0], results
            assert ts.exists("f"), "and has another when that one has stopped"
        """)

    def test_the_interpreter_exits_at_once(self) -> None:
        self.run_script("""
            from tests.grid.strangers import silent, stranger
            def behave(connection):
                begun.set()
                silent(connection)
            begun, server = threading.Event(), stranger(behave)
            # Far beyond the time that the script has.
            hanging = TahoeStorage(tahoe_base_url=server.__enter__(), tahoe_base_cap=cap,
                                   timeout=1000)
            ts.save("f", ContentFile(b"x" * 100))
            threading.Thread(target=hanging.save, args=("g", ContentFile(b"x" * 20_000_000)),
                             daemon=True).start()
            assert begun.wait(50)
        """)

    @needs(TIME)
    def test_the_wall_clock_can_be_set(self) -> None:
        self.run_script("""
            from twisted.internet.base import ReactorBase
            from tahoestorage.reactor.loop import current_loop
            from tests.grid.strangers import silent, stranger
            wall, ahead = time.time, [0.0]
            ReactorBase.seconds = staticmethod(lambda: wall() + ahead[0])
            def set_clock(seconds):
                ahead[0] += seconds
            reactor = current_loop().reactor
            before = reactor.seconds()
            set_clock(3600)
            assert 0 <= reactor.seconds() - before < 1800
            with stranger(silent) as nowhere:
                waiting = TahoeStorage(tahoe_base_url=nowhere, tahoe_base_cap=cap, timeout=1)
                for step in (3600, -3600):
                    threading.Timer(0.2, set_clock, [step]).start()
                    began = time.monotonic()
                    try:
                        waiting.exists("f")
                    except TimeoutError:
                        assert time.monotonic() - began > 0.99
                    else:
                        raise AssertionError("nobody has answered")
            for step in (3600, -3600):
                threads = [threading.Thread(target=ts.save, args=(f"f{n}", ContentFile(b"x")))
                           for n in range(8)]
                for thread in threads: thread.start()
                set_clock(step)
                for thread in threads: thread.join()
            assert len(ts.listdir("")[1]) == 16
        """)

    def test_functions_that_python_calls_at_exit_can_save(self) -> None:
        self.run_script("""
            import atexit, logging, weakref
            def save(kind, times=4):
                for number in range(times):
                    assert ts.save(f"{kind}{number}", ContentFile(b"x" * 100))
                    assert ts.open(f"{kind}{number}").read() == b"x" * 100
            class Handler(logging.Handler):
                def close(self):
                    save("logging")
                    super().close()
            class Thing: ...
            thing, late_thing = Thing(), Thing()
            handler = Handler()
            atexit.register(save, "before")
            weakref.finalize(thing, save, "finalize")
            ts.exists("f")
            atexit.register(save, "after")
            weakref.finalize(late_thing, save, "late")
        """)
        kinds = ("before", "after", "finalize", "late", "logging")
        expected = {f"{kind}{number}" for kind in kinds for number in range(4)}
        self.assertEqual(set(self.storage.listdir("")[1]), expected)

    @needs(TIME)
    def test_the_first_call_can_come_at_exit(self) -> None:
        self.run_script("""
            import atexit
            def save():
                try:
                    ts.save("f", ContentFile(b"x" * 100))
                except ConnectionAbortedError as error:
                    # Some releases of Python start no thread then.
                    print(error)
            atexit.register(save)
        """)
        if sys.version_info[:2] != (3, 12):
            self.assertEqual(self.read("f"), b"x" * 100)

    def test_a_call_after_the_interpreter_has_ended_raises_at_once(self) -> None:
        output = self.run_script("""
            class Late:
                def __del__(self, ts=ts, write=os.write, expected=ConnectionAbortedError):
                    try:
                        ts.exists("f")
                    except expected as error:
                        write(1, str(error).encode())
            ts.exists("f")
            late = Late()
        """)
        self.assertIn("the process ends", output)

    def test_a_thread_that_goes_on_after_the_main_one_saves(self) -> None:
        self.run_script("""
            def work():
                threading.main_thread().join()
                for number in range(4):
                    ts.save(f"f{number}", ContentFile(b"x" * 100))
            ts.exists("f")
            threading.Thread(target=work).start()
        """)
        self.assertEqual(len(self.storage.listdir("")[1]), 4)

    def test_a_file_that_is_open_for_writing_at_the_end_is_logged(self) -> None:
        output = self.run_script("""
            file = ts.open("f", "wb")
            file.write(b"x")
        """)
        self.assertIn("'f' was not closed", output)

    @needs(TIME)
    def test_a_signal_handler_can_save_while_the_first_call_starts_the_reactor(self) -> None:
        self.run_script("""
            import signal
            from tahoestorage.reactor import loop, threads
            saved = []
            def handle(*arguments):
                saved.append(ts.save("in the handler", ContentFile(b"x" * 100)))
            signal.signal(signal.SIGUSR1, handle)
            def interrupted(module, name):
                inner = getattr(module, name)
                def outer(*arguments):
                    setattr(module, name, inner)
                    signal.raise_signal(signal.SIGUSR1)
                    return inner(*arguments)
                setattr(module, name, outer)
            interrupted(threads, "require_threads")
            ts.save("f", ContentFile(b"x" * 100))
            interrupted(loop, "Loop")
            loop._this_process().loop = None
            ts.save("f", ContentFile(b"x" * 100))
            assert len(saved) == 2
            assert len(ts.listdir("")[1]) == 4
        """)

    def test_ctrl_c_cancels_the_request_and_the_storage_goes_on(self) -> None:
        process = self.script("""
            from tests.grid.strangers import silent, stranger
            from tests.waiting import wait_until
            def behave(connection):
                connections.add(connection)
                if begun.acquire(blocking=False):
                    print("waiting", flush=True)
                try:
                    silent(connection)
                finally:
                    connections.remove(connection)
            connections, begun = set(), threading.Semaphore(0)
            with stranger(behave) as nowhere:
                waiting = TahoeStorage(tahoe_base_url=nowhere, tahoe_base_cap=cap)
                for use in (lambda: waiting.exists("f"),
                            lambda: waiting.save("f", ContentFile(b"x" * 5_000_000))):
                    begun.release()
                    try:
                        use()
                    except KeyboardInterrupt:
                        print("interrupted", flush=True)
                wait_until(lambda: not connections)
            assert not ts.exists("f")
            print("done", flush=True)
        """)
        assert process.stdout is not None
        for _ in range(2):
            self.assertEqual(process.stdout.readline(), "waiting\n")
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.stdout.readline(), "interrupted\n")
        output, _ = process.communicate(timeout=120)
        self.assertEqual(output, "done\n")

    @needs(TIME)
    def test_an_idle_process_does_not_wake_up(self) -> None:
        output = self.run_script("""
            def switches():
                total = 0
                for task in os.listdir("/proc/self/task"):
                    with open(f"/proc/self/task/{task}/status") as status:
                        total += sum(int(line.split()[1]) for line in status
                                     if "ctxt_switches" in line)
                return total
            ts.exists("f")
            time.sleep(0.5)
            before = switches()
            time.sleep(2)
            print(switches() - before)
        """)
        self.assertLess(int(output), 10)

    @needs(TIME)
    def test_a_large_file_needs_little_memory(self) -> None:
        output = self.run_script("""
            import resource, tempfile
            from django.core.files import File
            def peak():
                return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            ts.save("warm", ContentFile(b"x" * 5_000_000))
            ts.open("warm").read()
            with tempfile.TemporaryFile() as source:
                for number in range(300):
                    source.write(os.urandom(2**20))
                before = peak()
                name = ts.save("large", File(source))
                saved = peak() - before
                source.seek(0)
                with ts.open(name) as file:
                    for chunk in file.chunks():
                        assert chunk == source.read(len(chunk))
                assert source.read() == b""
                print(saved, peak() - before)
        """)
        for megabytes in output.split():
            self.assertLess(float(megabytes), 32)
