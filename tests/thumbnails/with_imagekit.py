"""django-imagekit, with this storage as the default one."""

from __future__ import annotations

import pickle

from django.conf import settings
from django.core.cache import cache
from django.core.files.storage import default_storage

from tests.thumbnails.case import LibraryTestCase, picture
from tests.thumbnails.models import KitPhoto


class ImageKitTests(LibraryTestCase):
    def test_a_picture_is_processed_before_it_is_saved(self) -> None:
        photo = KitPhoto()
        photo.reduced.save("large.png", picture(kind="PNG"))
        self.assertEqual(photo.reduced.name, "reduced/large.jpg")
        self.assertShows(photo.reduced.url, (200, 100))

    def test_thumbnails_are_made_once(self) -> None:
        small = KitPhoto.objects.create(image=picture()).small
        self.assertShows(small.url, (40, 30))
        self.proxy.reset()
        self.assertShows(KitPhoto.objects.get().small.url, (40, 30))
        self.assertEqual(self.proxy.counts.requests, 0)

        cache.clear()
        self.assertReadsAgain(KitPhoto.objects.get().small)
        self.assertEqual(self.proxy.counts.uploads, 0)

        cache.clear()
        default_storage.delete(small.name)
        self.assertShows(KitPhoto.objects.get().small.url, (40, 30))
        self.assertEqual(self.proxy.counts.uploads, 1)

    def test_with_allow_overwrite_a_thumbnail_replaces_an_older_one(self) -> None:
        photo = KitPhoto.objects.create(image=picture())
        photo.replaced.generate()
        default_storage.delete(photo.image.name)
        default_storage.save(photo.image.name, picture("blue"))
        # A background task gets it as a pickle.
        pickled = pickle.dumps(KitPhoto.objects.get())
        self.assertNotIn(settings.TAHOE_STORAGE_BASE_CAP.split(":")[2].encode(), pickled)
        again = pickle.loads(pickled).replaced
        again.generate(force=True)
        self.assertEqual(self.stored(), [photo.image.name, again.name])
        self.assertShows(again.url, (20, 20), "blue")

    def test_a_page_of_new_thumbnails_reads_no_level_twice(self) -> None:
        for _ in range(20):
            KitPhoto.objects.create(image=picture())
        self.begin_process()
        for photo in KitPhoto.objects.all():
            self.assertTrue(photo.small.url)
        self.assertMadeWithFewRequests(20, directories=1)
