#!/usr/bin/env bash
exec python3 "$(dirname "$0")/who_gets_in.py" "$@"
