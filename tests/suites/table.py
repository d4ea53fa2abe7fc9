"""The suites, and why some of their tests pass with FileSystemStorage alone."""

from __future__ import annotations

from attrs import field, frozen

TOOLS = ["Django==5.2.*", "pytest", "pytest-django"]

# Patterns are searched for in a test's name and, on the lines below it, its failure.
EVERYWHERE = {
    r"storage backends? .*absolute paths|backend doesn't support absolute paths": "path(): the test needs a path on the local disk",
    "Tahoe-LAFS does not record when a file is read": "Tahoe keeps no accessed times",
}


@frozen
class Suite:
    """
    A suite: where it comes from, as a version on PyPI or the URL of an archive, the folder in it
    from where its tests are run, and the module of its settings.

    `requirements`: what it needs. `apps`: what Django's tests add to the settings.
    `differences`: patterns of what fails with this storage, and the reasons.
    """

    name: str
    source: str
    settings: str
    tests: list[str]
    folder: str = "."
    requirements: list[str] = field(factory=list)
    apps: list[str] = field(factory=list)
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
        ["file_storage", "file_uploads", "files", "model_fields", "model_forms", "forms_tests"],
    ),
    Suite(
        "easy-thumbnails",
        "easy-thumbnails==2.10.1",
        "easy_thumbnails.tests.settings",
        ["easy_thumbnails/tests"],
        requirements=["easy-thumbnails[svg]==2.10.1", "testfixtures"],
    ),
    Suite(
        "sorl-thumbnail",
        "sorl-thumbnail==13.4.0",
        "tests.settings.pil",
        ["tests/thumbnail_tests"],
        requirements=["sorl-thumbnail==13.4.0", "Pillow"],
    ),
    Suite(
        "django-filer",
        # The one on PyPI has not all of its tests.
        "https://github.com/django-cms/django-filer/archive/29cd53781faccfba2c34822f162a65d06dc45dc1.tar.gz",
        "tahoe_suites.filer_settings",
        ["tests"],
        requirements=["django-filer[heif]==3.6.0", "django-app-helper", "easy-thumbnails[svg]"],
    ),
    Suite(
        "django-imagekit",
        "django-imagekit==6.1.1",
        "tests.settings",
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
