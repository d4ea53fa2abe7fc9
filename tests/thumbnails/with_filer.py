"""django-filer, with this storage for all that it keeps."""

from __future__ import annotations

import hashlib

from django.core.files.uploadedfile import SimpleUploadedFile
from filer.models import Folder, Image

from tests.thumbnails.case import LibraryTestCase, picture

SMALL = {"size": (40, 40)}


class FilerTests(LibraryTestCase):
    def test_thumbnails_are_made_once_until_their_image_moves(self) -> None:
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
