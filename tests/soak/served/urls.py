"""The addresses: `do` for threads, `ado` for asyncio."""

from django.urls import path
from served import views

urlpatterns = [
    path("served/do/<operation>/", views.do),
    path("served/ado/<operation>/", views.ado),
]
