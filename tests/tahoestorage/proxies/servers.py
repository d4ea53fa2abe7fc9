"""Web servers as processes of a test, each in a folder of its own and on loopback alone."""

from __future__ import annotations

import shutil
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_connection

from tests.needs import PATH
from txtahoe.testing.node import free_port


class WebServer(ABC):
    """
    A server of the host, with the smallest main configuration around the tested one.

    `folder` holds all that it writes.
    """

    name: str
    program: str
    debian_logs: str
    """The folder of the logs in the printed configuration; here they are in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.options = {"listen": f"127.0.0.1:{self.port}"}
        """The arguments with which the command prints a configuration for this server."""

    @classmethod
    def path(cls) -> str | None:
        """The path of the program; None if it is not installed."""
        return shutil.which(cls.program, path=PATH)

    @abstractmethod
    def main(self) -> str:
        """The main configuration, which includes `sites.conf`."""

    @abstractmethod
    def arguments(self) -> list[str]:
        """The command that runs the server in the foreground."""

    @contextmanager
    def running(self, sites: str) -> Iterator[None]:
        """Raises: AssertionError, with the output of the server, if it does not start."""
        self.folder.mkdir(parents=True)
        (self.folder / "main.conf").write_text(self.main())
        (self.folder / "sites.conf").write_text(sites.replace(self.debian_logs, str(self.folder)))
        with (self.folder / "output").open("wb") as output:
            process = subprocess.Popen(
                [str(self.path()), *self.arguments()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            self._wait_until_it_listens(process)
            yield
        finally:
            process.terminate()
            process.wait()

    def _wait_until_it_listens(self, process: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < end:
            try:
                create_connection(("127.0.0.1", self.port)).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        said = "\n".join(self.written().values())
        raise AssertionError(f"{self.name} does not run: {said}")

    def written(self) -> dict[str, str]:
        """The logs, and all else that the server has written, by file name."""
        return {
            file.name: file.read_text(errors="replace")
            for file in self.folder.rglob("*")
            if file.is_file() and file.suffix != ".conf"
        }

    def log_lines(self, name: str, number: int) -> list[str]:
        """The lines of a log, once it has so many: a server may write them a moment later."""
        end = time.monotonic() + 30
        while len(lines := self.written()[name].splitlines()) < number:
            if time.monotonic() > end:
                raise AssertionError(f"{name} has no {number} lines: {lines}")
            time.sleep(0.05)
        return lines


class Nginx(WebServer):
    name = "nginx"
    program = "nginx"
    debian_logs = "/var/log/nginx"

    def main(self) -> str:
        temporary = "".join(
            f"{kind}_temp_path {self.folder}/{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "scgi", "uwsgi")
        )
        return f"""
            daemon off;
            master_process off;
            pid {self.folder}/pid;
            error_log {self.folder}/error.log;
            events {{}}
            http {{
                access_log {self.folder}/access.log;
                {temporary}
                server {{
                    listen 127.0.0.1:{self.port} default_server;
                    return 404;
                }}
                include {self.folder}/sites.conf;
            }}
        """

    def arguments(self) -> list[str]:
        return ["-c", f"{self.folder}/main.conf", "-e", f"{self.folder}/error.log"]


class Apache(WebServer):
    name = "apache"
    program = "apache2"
    debian_logs = "${APACHE_LOG_DIR}"

    def main(self) -> str:
        modules = "".join(
            f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"
            for name in ("mpm_event", "authz_core", "proxy", "proxy_http", "rewrite", "headers")
        )
        return f"""
            {modules}
            Listen 127.0.0.1:{self.port}
            ServerRoot {self.folder}
            ServerName localhost
            User www-data
            Group www-data
            PidFile {self.folder}/pid
            DefaultRuntimeDir {self.folder}
            StartServers 1
            LogFormat "%h %l %u %t \\"%r\\" %>s %O \\"%{{Referer}}i\\"" combined
            CustomLog {self.folder}/access.log combined
            ErrorLog {self.folder}/error.log
            ErrorDocument 404 /nothing.html
            ErrorDocument 410 /nothing.html
            <VirtualHost 127.0.0.1:{self.port}>
                ServerName default.test
            </VirtualHost>
            Include {self.folder}/sites.conf
        """

    def arguments(self) -> list[str]:
        return ["-DFOREGROUND", "-f", f"{self.folder}/main.conf"]


class Lighttpd(WebServer):
    name = "lighttpd"
    program = "lighttpd"
    debian_logs = "/var/log/lighttpd"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.options = {}

    def main(self) -> str:
        return f"""
            server.modules = ( "mod_access", "mod_accesslog" )
            server.bind = "127.0.0.1"
            server.port = {self.port}
            server.document-root = "{self.folder}/empty"
            server.upload-dirs = ( "{self.folder}" )
            server.errorlog = "{self.folder}/error.log"
            accesslog.filename = "{self.folder}/access.log"
            # As in Debian.
            server.http-parseopts = (
                "header-strict" => "enable",
                "host-strict" => "enable",
                "host-normalize" => "enable",
                "url-normalize-unreserved" => "enable",
                "url-normalize-required" => "enable",
                "url-ctrls-reject" => "enable",
                "url-path-2f-decode" => "enable",
                "url-path-dotseg-remove" => "enable",
            )
            url.access-deny = ( "~", ".inc" )
            include "{self.folder}/sites.conf"
        """

    def arguments(self) -> list[str]:
        return ["-D", "-f", f"{self.folder}/main.conf"]
