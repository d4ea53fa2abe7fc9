"""For gunicorn, uWSGI and runserver."""

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()

from served.documents import use_before_fork  # noqa: E402 - models, once Django is set up

use_before_fork()
