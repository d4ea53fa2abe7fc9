"""django-filer, with this storage for all of its files."""

from __future__ import annotations

import hashlib

from django.conf import settings
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from filer.models import Folder, Image

from tests.thumbnails.case import LibraryTestCase, picture

SMALL = {"size": (40, 40)}


class FilerTests(LibraryTestCase):
    def test_a_thumbnail_is_made_once_until_its_image_moves(self) -> None:
        data = picture().read()
        content = SimpleUploadedFile("photo.jpg", data)
        Image.objects.create(original_filename="photo.jpg", file=content)
        image = Image.objects.get()
        self.assertEqual((image.width, image.height), (400, 300))
        self.assertEqual((image.size, image.sha1), (len(data), hashlib.sha1(data).hexdigest()))
        self.assertShows(image.file.get_thumbnail(SMALL).url, (40, 30))
        self.proxy.reset()
        image = Image.objects.get()
        self.assertShows(image.file.get_thumbnail(SMALL).url, (40, 30))
        image.folder = Folder.objects.create(name="holidays")
        image.save()
        self.assertEqual(self.proxy.counts.requests, 0)

        image.is_public = False
        image.save()
        image = Image.objects.get()
        self.assertEqual(self.stored(), [f"private/{image.file.name}"])

        Image.objects.create(original_filename="photo.jpg", file=image.file.name, is_public=False)
        image.delete()
        image = Image.objects.get()
        storage, name = image.file.storage, image.file.name
        self.assertReadsAgain(image.file)
        image.delete()
        self.assertFalse(storage.exists(name))

    def test_only_permitted_users_read_private_files(self) -> None:
        data = picture().read()
        owner, stranger = (User.objects.create_user(name) for name in ("owner", "stranger"))
        image = Image.objects.create(
            original_filename="photo.jpg",
            file=SimpleUploadedFile("photo.jpg", data),
            is_public=False,
            owner=owner,
        )
        urls = [image.url, image.file.get_thumbnail(SMALL).url]
        for url, folder in zip(urls, ("", "thumbnails/"), strict=True):
            self.assertTrue(url.startswith(f"/private/{folder}"), url)
            for user, status in ((None, 403), (stranger, 403), (owner, 200)):
                client = Client()
                if user is not None:
                    client.force_login(user)
                answer = client.get(url)
                self.assertEqual(answer.status_code, status, (url, user))
        self.assertEqual(b"".join(answer.streaming_content)[:2], data[:2])
        self.assertEqual(answer["Cache-Control"], "private, no-cache")
        image.is_public = True
        image.save()
        self.assertTrue(Image.objects.get().url.startswith(settings.TAHOE_PUBLIC_BASE_URL))
        self.assertEqual(client.get(urls[0]).status_code, 403)
