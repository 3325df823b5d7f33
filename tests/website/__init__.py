"""Tests of what builds the documentation site, without Zensical."""
