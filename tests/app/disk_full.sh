#!/usr/bin/env bash
exec python3 "$(dirname "$0")/disk_full.py" "$@"
