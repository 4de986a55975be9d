"""The pages of the shop."""

from __future__ import annotations

from django.urls import path

from cloakroom import views

urlpatterns = [
    path("", views.rack, name="rack"),
    path("cart/add/<slug:sku>", views.add, name="add"),
    path("cart/take/<slug:sku>", views.take, name="take"),
    path("login", views.login, name="login"),
    path("logout", views.logout, name="logout"),
    path("end-others", views.end_others, name="end-others"),
]
