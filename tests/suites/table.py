"""The suites, and why some of their tests pass with FileSystemStorage alone."""

from __future__ import annotations

from attrs import field, frozen

TOOLS = "Django==5.2.* pytest pytest-django Pillow"
NO_PATH = "This backend doesn't support absolute paths"

# Reasons.
DISK = "the local disk: the test looks at files, folders or permissions there"
OWN_CLASS = "FileSystemStorage itself: its module, flags or base URL"
WORDS = "the words of an error"
LIBRARY = "the library: it does otherwise for a storage without path()"

# Patterns are searched for in a test's name and, on the lines below it, its failure.
EVERYWHERE = {
    NO_PATH: "the local disk: path()",
    "Tahoe-LAFS does not record when a file is read": "accessed times",
}


@frozen
class Suite:
    """
    A suite: where it comes from, as a version on PyPI or the URL of an archive, the module of its
    settings, the tests, what they require, and the folder in the sources where they are run.

    `differences`: patterns of what fails with this storage, and the reasons.
    """

    name: str
    source: str
    settings: str
    tests: str
    requirements: str
    folder: str = "."
    differences: dict[str, str] = field(factory=dict)


GITHUB = "https://github.com"  # for those whose tests on PyPI are not whole

SUITES = [
    Suite(
        "django",
        "Django==5.2.19",
        "tahoe_suites.django_settings",
        "file_storage file_uploads files model_fields/test_filefield.py"
        " model_fields/test_imagefield.py model_forms forms_tests/field_tests/test_filefield.py"
        " forms_tests/field_tests/test_imagefield.py forms_tests/widget_tests",
        "",
        "tests",
        {
            "::test_(move_temporary_file|empty_location|setting_changed|listdir)$": DISK,
            "::test_(callable_storage_file_field_in_model|(makedirs|remove)_race_handling)$": DISK,
            "::test_file_(upload(_directory)?_permissions|get_(created|modified)_time)$": DISK,
            "::test_(deconstruction|os_open_flags_deprecation_warning|base_url)$": OWN_CLASS,
            "OSOpenFlagsTests::test_save_": OWN_CLASS,
            "::test_not_a_directory$": WORDS,
        },
    ),
    Suite(
        "easy-thumbnails",
        "easy-thumbnails==2.10.1",
        "easy_thumbnails.tests.settings",
        "easy_thumbnails/tests",
        "easy-thumbnails[svg]==2.10.1 testfixtures",
        differences={
            "::test_missing_thumb_from_storage": LIBRARY,
            "::test_postprocessor|ThumbnailCleanupTest": DISK,
        },
    ),
    Suite(
        "sorl-thumbnail",
        "sorl-thumbnail==13.4.0",
        "tests.settings.pil",
        "tests/thumbnail_tests",
        "sorl-thumbnail==13.4.0",
        differences={
            "::test_relative_absolute_same_key": DISK,
            "::test_storage_serialize_short_backend_path": OWN_CLASS,
            "::test_middleware_async": "documented: no blocking call in a running event loop",
            "::test_empty_error": WORDS,
        },
    ),
    Suite(
        "django-filer",
        f"{GITHUB}/django-cms/django-filer/archive/29cd53781faccfba2c34822f162a65d06dc45dc1.tar.gz",
        "tahoe_suites.filer_settings",
        "tests",
        "django-filer[heif]==3.6.0 django-app-helper easy-thumbnails[svg]",
        differences={
            "::test_dump_load_data|::test_storage_factory|NginxServerTestCase": DISK,
            "::test_file_(upload|move|change).*_(destination|location)": DISK,
            "DefaultServerTestCase|ServeProtected": "documented: filer's own servers read the disk",
            "::test_canonical_url": "this command: the test has another URL below MEDIA_URL",
        },
    ),
    Suite(
        "django-imagekit",
        "django-imagekit==6.1.1",
        "tahoe_suites.imagekit_settings",
        "tests",
        "django-imagekit==6.1.1 beautifulsoup4",
    ),
    Suite(
        "django-cleanup",
        f"{GITHUB}/un1t/django-cleanup/archive/380b4bb4c7d277fc125ffa7edce2d3911483912e.tar.gz",
        "test.settings",
        "test",
        "django-cleanup==9.0.0 easy-thumbnails sorl-thumbnail",
    ),
    Suite(
        "django-dbbackup",
        "django-dbbackup==4.3.0",  # the last one that has its tests with it
        "dbbackup.tests.settings",
        "dbbackup/tests",
        "django-dbbackup==4.3.0 python-dotenv python-gnupg",
        differences={"::test_(get_storage_class|set_options)": OWN_CLASS},
    ),
    Suite(
        "django-import-export",
        "django-import-export==4.4.3",
        "settings",
        "core",
        "django-import-export[all]==4.4.3 psycopg[binary]",
        "tests",
    ),
    Suite(
        "wagtail",
        "wagtail==8.0.1",
        "wagtail.test.settings",
        "wagtail/images wagtail/documents",
        "wagtail==8.0.1 Jinja2<3.2 freezegun responses factory-boy boto3 django-pattern-library",
        differences={
            # Without path(), WAGTAILDOCS_SERVE_METHOD is "redirect".
            "TestServeView|TestCollectionPrivacyDocument|TestServeWithUnicodeFilename": LIBRARY,
            "::test_api_uploaded_document_can_be_served": LIBRARY,
            "::test_is_stored_locally|::test_closes_image": LIBRARY,
        },
    ),
]
