"""easy-thumbnails, with this storage as the default one."""

from __future__ import annotations

import io

from django.core.files.storage import default_storage
from django.core.management import call_command

from tests.thumbnails.case import LibraryTestCase, picture
from tests.thumbnails.models import EasyPhoto

SMALL = {"size": (40, 40)}


class EasyThumbnailsTests(LibraryTestCase):
    def test_a_thumbnail_is_made_once_until_its_picture_changes(self) -> None:
        image = EasyPhoto.objects.create(image=picture()).image
        self.assertShows(image.get_thumbnail(SMALL).url, (40, 30))
        self.assertShows(image.get_thumbnail({"size": (100, 100), "crop": True}).url, (100, 100))
        self.proxy.reset()
        small = EasyPhoto.objects.get().image.get_thumbnail(SMALL)
        self.assertShows(small.url, (40, 30))
        self.assertEqual(small.name, "photos/2026/picture.jpg.40x40_q85.jpg")
        self.assertEqual(self.proxy.counts.requests, 0)
        self.assertReadsAgain(small)

        default_storage.delete(image.name)
        default_storage.save(image.name, picture("blue"))
        image.save_thumbnail(image.generate_thumbnail(SMALL))
        self.assertEqual(len(self.stored()), 3)
        self.assertShows(small.url, (40, 30), "blue")

        default_storage.delete(image.name)
        call_command("thumbnail_cleanup", stdout=io.StringIO())
        self.assertEqual(self.stored(), [])

    def test_a_picture_is_reduced_and_deleted_with_its_thumbnails(self) -> None:
        photo = EasyPhoto()
        photo.reduced.save("large.png", picture(kind="PNG"))
        self.assertEqual(photo.reduced.name, "reduced/large.jpg")
        self.assertShows(photo.reduced.url, (200, 150))
        photo.reduced.get_thumbnail(SMALL)
        photo.reduced.delete()
        self.assertEqual(self.stored(), [])

    def test_a_page_of_new_thumbnails_reads_no_level_twice(self) -> None:
        for _ in range(20):
            EasyPhoto.objects.create(image=picture())
        self.begin_process()
        for photo in EasyPhoto.objects.all():
            photo.image.get_thumbnail(SMALL)
        self.assertMadeWithFewRequests(20, directories=0)
