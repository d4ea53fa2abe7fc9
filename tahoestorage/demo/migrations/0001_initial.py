from django.db import migrations, models

import tahoestorage.storage


class Migration(migrations.Migration):
    initial = True

    dependencies = []  # noqa: RUF012

    operations = [  # noqa: RUF012
        migrations.CreateModel(
            name="Document",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("size", models.PositiveBigIntegerField(editable=False)),
                ("uploaded", models.DateTimeField(auto_now_add=True)),
                (
                    "file",
                    models.FileField(
                        storage=tahoestorage.storage.TahoeStorage(), upload_to="demo/documents/"
                    ),
                ),
            ],
            options={"ordering": ("-uploaded", "-pk"), "abstract": False},
        ),
        migrations.CreateModel(
            name="Picture",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("size", models.PositiveBigIntegerField(editable=False)),
                ("uploaded", models.DateTimeField(auto_now_add=True)),
                (
                    "file",
                    models.ImageField(
                        storage=tahoestorage.storage.TahoeStorage(),
                        upload_to="demo/pictures/",
                        width_field="width",
                        height_field="height",
                    ),
                ),
                ("width", models.PositiveIntegerField(editable=False)),
                ("height", models.PositiveIntegerField(editable=False)),
            ],
            options={"ordering": ("-uploaded", "-pk"), "abstract": False},
        ),
    ]
