"""The addresses of the demo, and those that programs use."""

from django.urls import path
from served import views

from tahoestorage.demo.urls import urlpatterns as those_of_the_demo

urlpatterns = [
    path("served/", views.names),
    path("served/upload/", views.upload),
    path("served/<int:number>/", views.read),
    path("served/<int:number>/delete/", views.delete),
    *those_of_the_demo,
]
