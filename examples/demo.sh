#!/bin/sh
# All of bitcodes in five commands, on pictures that it draws itself. `make demo` runs this in the
# folder demo/; run it again and every command says that its work is done.
set -eu

run() {
    printf '\n$ %s\n' "$*"
    "$@"
}

run bitcodes prepare demo
run bitcodes finetune --data data/demo --image-size 64 --epochs 4
run bitcodes encode data/demo/database.txt
run bitcodes search data/demo/test/*/0000.png --html results.html
run bitcodes evaluate

printf '\nThe pictures found for each query: file://%s/results.html\n' "$PWD"
