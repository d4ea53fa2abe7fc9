"""For daphne, uvicorn and hypercorn."""

from django.core.asgi import get_asgi_application

application = get_asgi_application()
