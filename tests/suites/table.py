"""The suites, and why some of their tests pass with FileSystemStorage alone."""

from __future__ import annotations

from attrs import field, frozen

TOOLS = ["Django==5.2.*", "pytest", "pytest-django"]

NO_PATH = "This backend doesn't support absolute paths"

# Patterns are searched for in a test's name and, on the lines below it, its failure.
EVERYWHERE = {
    NO_PATH: "the local disk: path(); with it, they pass",
    "Tahoe-LAFS does not record when a file is read": "accessed times",
}


@frozen
class Suite:
    """
    A suite: where it comes from, as a version on PyPI or the URL of an archive, the folder in it
    from where its tests are run, and the module of its settings.

    `requirements`: what it needs.
    `differences`: patterns of what fails with this storage, and the reasons.
    """

    name: str
    source: str
    settings: str
    tests: list[str]
    folder: str = "."
    requirements: list[str] = field(factory=list)
    differences: dict[str, str] = field(factory=dict)


SUITES = [
    Suite(
        "django",
        "Django==5.2.19",
        "tahoe_suites.django_settings",
        [
            "file_storage",
            "file_uploads",
            "files",
            "model_fields/test_filefield.py",
            "model_fields/test_imagefield.py",
            "model_forms",
            "forms_tests/field_tests/test_filefield.py",
            "forms_tests/field_tests/test_imagefield.py",
            "forms_tests/widget_tests",
        ],
        "tests",
        ["Pillow"],
        {
            "::test_move_temporary_file": "the local disk: FileSystemStorage moves temporary files",
            "::test_(deconstruction|os_open_flags_deprecation_warning)$": "FileSystemStorage's own class",
            "::test_base_url$": "documented: without a base URL the site serves the files",
            "::test_(empty_location|setting_changed|callable_storage_file_field_in_model)$": "the local disk: location is a folder",
            "::test_(listdir|(makedirs|remove)_race_handling|file_upload(_directory)?_permissions)$": "the local disk: os.mkdir, os.remove, permissions",
            "::test_file_get_(accessed|created|modified)_time$": "the local disk: os.path.get?time",
            "OSOpenFlagsTests::test_save_": "FileSystemStorage's own OS_OPEN_FLAGS",
            "::test_not_a_directory$": "the words of a FileExistsError",
        },
    ),
    Suite(
        "easy-thumbnails",
        "easy-thumbnails==2.10.1",
        "easy_thumbnails.tests.settings",
        ["easy_thumbnails/tests"],
        requirements=["easy-thumbnails[svg]==2.10.1", "testfixtures"],
        differences={
            "::test_missing_thumb_from_storage": "easy-thumbnails itself: of thumbnails in a storage without path() it asks the database",
            "::test_postprocessor": "the local disk: a program changes a file",
        },
    ),
    Suite(
        "sorl-thumbnail",
        "sorl-thumbnail==13.4.0",
        "tests.settings.pil",
        ["tests/thumbnail_tests"],
        requirements=["sorl-thumbnail==13.4.0", "Pillow"],
        differences={
            "::test_relative_absolute_same_key": "the local disk: location is a folder",
            "::test_storage_serialize_short_backend_path": "FileSystemStorage's own class",
            "::test_middleware_async": "documented: a blocking call in a running event loop is refused",
            "::test_empty_error": "the words of a FileNotFoundError",
        },
    ),
    Suite(
        "django-filer",
        # The one on PyPI has not all of its tests.
        "https://github.com/django-cms/django-filer/archive/29cd53781faccfba2c34822f162a65d06dc45dc1.tar.gz",
        "tahoe_suites.filer_settings",
        ["tests"],
        requirements=["django-filer[heif]==3.6.0", "django-app-helper", "easy-thumbnails[svg]"],
        differences={
            "::test_dump_load_data": "the local disk: path(), as filer's File.path",
            "(DefaultServerTestCase|ServeProtected).*::": "documented: filer's own servers of private files read from the disk",
            "::test_storage_factory": "the local disk: location is a folder",
            "::test_canonical_url": "this command: tahoestorage.urls is mounted where the test has another URL",
        },
    ),
    Suite(
        "django-imagekit",
        "django-imagekit==6.1.1",
        "tahoe_suites.imagekit_settings",
        ["tests"],
        requirements=["django-imagekit==6.1.1", "beautifulsoup4", "Pillow"],
    ),
    Suite(
        "django-cleanup",
        # The one on PyPI has not all of its tests.
        "https://github.com/un1t/django-cleanup/archive/380b4bb4c7d277fc125ffa7edce2d3911483912e.tar.gz",
        "test.settings",
        ["test"],
        requirements=["django-cleanup==9.0.0", "easy-thumbnails", "sorl-thumbnail", "Pillow"],
    ),
    Suite(
        "django-dbbackup",
        "django-dbbackup==4.3.0",  # the last one that has its tests with it
        "dbbackup.tests.settings",
        ["dbbackup/tests"],
        requirements=["django-dbbackup==4.3.0", "python-dotenv", "python-gnupg"],
        differences={
            "::test_(get_storage_class|set_options)": "FileSystemStorage's own class",
        },
    ),
    Suite(
        "django-import-export",
        "django-import-export==4.4.3",
        "settings",
        ["core"],
        "tests",
        ["django-import-export[all]==4.4.3", "psycopg[binary]"],
    ),
    Suite(
        "wagtail",
        "wagtail==8.0.1",
        "wagtail.test.settings",
        ["wagtail/images", "wagtail/documents"],
        requirements=["wagtail==8.0.1", "Jinja2<3.2", "freezegun", "responses", "factory-boy"],
    ),
]
