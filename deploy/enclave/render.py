#!/usr/bin/env python3
"""Renders a Gramine manifest template where Gramine itself is not installed, so that it can be read and checked.

gramine-manifest gives the same with the real paths of Gramine; what this prints is not to be signed.
Usage: render.py TEMPLATE NAME=VALUE ...
"""
import sys

import jinja2


class Gramine:
    """Where Debian's package of Gramine puts its files."""

    libos = "/usr/lib/x86_64-linux-gnu/gramine/libsysdb.so"

    @staticmethod
    def runtimedir(libc="glibc"):
        return f"/usr/lib/x86_64-linux-gnu/gramine/runtime/{libc}"


def main():
    variables = {"premain": "", "vaults": "", "arch_libdir": "/lib/x86_64-linux-gnu", "gramine": Gramine()}
    variables.update(argument.split("=", 1) for argument in sys.argv[2:])
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    with open(sys.argv[1], encoding="utf-8") as template:
        sys.stdout.write(environment.from_string(template.read()).render(variables))


if __name__ == "__main__":
    main()
