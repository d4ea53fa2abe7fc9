"""The Django site of a demo, in this process."""

from __future__ import annotations

import os

import django
from django.core.management import call_command

from tahoestorage.demo.folder import DemoFolder
from tahoestorage.reactor.waiting import Caller, done, in_reactor
from txtahoe.api.client import Client
from txtahoe.caps import Cap
from txtahoe.http.transport import Transport

USER = PASSWORD = "demo"  # noqa: S105 - not secret: the site listens only on loopback


def prepare_site(folder: DemoFolder, gateway: str) -> None:
    """
    Set Django up for the site in `folder`. The first time, make its root directory, its database
    and its user. Child processes find the site through the environment.

    Raises: TahoeError.
    """
    if "base_cap" not in folder.values():
        folder.keep(base_cap=str(_new_directory(gateway)))
    folder.keep(gateway=gateway)
    folder.to_environment()
    os.environ["DJANGO_SETTINGS_MODULE"] = "tahoestorage.demo.settings"
    django.setup()
    call_command("migrate", verbosity=0)
    _make_user()


def _new_directory(gateway: str) -> Cap:
    async def mkdir(caller: Caller) -> Cap:
        client = Client(Transport(caller.loop.reactor, gateway))
        try:
            return await client.mkdir()
        finally:
            await client.close()

    return done(in_reactor(mkdir))


def _make_user() -> None:
    from django.contrib.auth.models import User  # needs Django to be set up

    if not User.objects.filter(username=USER).exists():
        User.objects.create_superuser(USER, password=PASSWORD)
