#!/bin/sh
# What the container does: `serve`, `test`, `coverage`, or any other command of sms-proxy.
set -eu

case "${1-}" in
test | coverage)
    if ! command -v cargo >/dev/null; then
        echo "$1: this image has no compiler; build it with --target tools" >&2
        exit 2
    fi
    ;;
esac

# `exec`, so that a stop reaches the program itself.
case "${1-}" in
test)
    shift
    exec cargo test --locked "$@"
    ;;
coverage)
    shift
    exec cargo llvm-cov --locked "$@"
    ;;
*)
    exec sms-proxy "$@"
    ;;
esac
