#!/usr/bin/env bash
exec python3 "$(dirname "$0")/end_to_end.py" "$@"
