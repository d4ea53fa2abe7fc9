"""sorl-thumbnail, with this storage as the default one."""

from __future__ import annotations

import io

from django.core.management import call_command
from sorl.thumbnail import default, delete, get_thumbnail

from tests.thumbnails.case import LibraryTestCase, picture
from tests.thumbnails.models import SorlPhoto


class SorlThumbnailTests(LibraryTestCase):
    def test_thumbnails_are_made_once_and_deleted_with_their_picture(self) -> None:
        image = SorlPhoto.objects.create(image=picture()).image
        self.assertShows(get_thumbnail(image, "100x100", crop="center").url, (100, 100))
        call_command("thumbnail", "clear_delete_all", stdout=io.StringIO())
        self.assertEqual(self.stored(), [image.name])

        small = get_thumbnail(image, "40x40")
        self.proxy.reset()
        again = get_thumbnail(SorlPhoto.objects.get().image, "40x40")
        self.assertShows(again.url, (40, 30))
        self.assertEqual(self.proxy.counts.requests, 0)

        default.kvstore.clear()
        again = get_thumbnail(image, "40x40")
        self.assertEqual((again.name, again.size), (small.name, [40, 30]))
        self.assertEqual(self.proxy.counts.uploads, 0)

        delete(image)
        self.assertEqual(self.stored(), [])

    def test_a_page_of_new_thumbnails_reads_no_level_twice(self) -> None:
        for _ in range(20):
            SorlPhoto.objects.create(image=picture())
        self.begin_process()
        for photo in SorlPhoto.objects.all():
            get_thumbnail(photo.image, "40x40")
        self.assertMadeWithFewRequests(20, directories=2)
