#!/usr/bin/env bash
exec python3 "$(dirname "$0")/postgres_outage.py" "$@"
