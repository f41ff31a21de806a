#!/bin/sh
# Build the kernel apart from the installed one (needs gcc, cmake, ninja):
#   tests/fuzz/build.sh FOLDER [CMAKE_ARGUMENTS...]
# and print the path of the module. PYTHON names the interpreter it is for.
set -eu
folder=${1:?usage: tests/fuzz/build.sh FOLDER [CMAKE_ARGUMENTS...]}
shift
root=$(cd "$(dirname "$0")/../.." && pwd)

mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
{
    cmake -S "$root/service/kernel" -B "$folder" -G Ninja -DCMAKE_C_COMPILER=gcc \
        -DPython_EXECUTABLE="$(command -v "${PYTHON:-python3}")" "$@"
    cmake --build "$folder"
} >"$folder/log" 2>&1 || {
    cat "$folder/log" >&2
    exit 1
}
ls "$folder"/_kernel*.so
