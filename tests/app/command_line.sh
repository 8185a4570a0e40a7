#!/usr/bin/env bash
exec python3 "$(dirname "$0")/command_line.py" "$@"
