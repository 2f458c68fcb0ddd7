"""What FreeBSD prints when it crashes."""
