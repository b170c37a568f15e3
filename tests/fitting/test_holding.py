"""Decoded columns between passes: the same bits wherever they are held, within their bound, and nothing left behind."""

from __future__ import annotations
