"""Each view under its name."""

from __future__ import annotations

from django.urls import path

from tests.django.project.views import VIEWS

urlpatterns = [path(name, view) for name, view in VIEWS.items()]
