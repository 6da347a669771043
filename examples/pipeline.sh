#!/bin/sh
# A pipeline for a back end: two machines encode a part each, the parts are merged, and rows go to
# other programs. Needs jq. Usage: pipeline.sh IMAGES, in an empty folder.
set -eu

# Each machine encodes its part. What was done is one JSON document per command.
for part in 1 2; do
    bitcodes encode "$1" --part $part/2 -o part$part.npy --run built-in --json > encoded$part.json
done
jq -r '"\(.codes): \(.count) codes of \(.bits) bits"' encoded1.json encoded2.json

# A part that is missing, or there twice, would be an error.
bitcodes merge part1.npy part2.npy -o codes.npy --json | jq -r '"merged: \(.count)"'

# The rows, for a program that reads lines and for a database.
bitcodes export codes.npy - | jq -r '[.id, .code, .path] | @tsv' > codes.tsv
bitcodes export codes.npy codes.csv
