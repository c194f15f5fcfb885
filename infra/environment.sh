# Sourced by what needs Python tools: virtual environments under target/tools, made once. Needs `tools` to be set.

unavailable() {
    printf '!!! NOT DONE: %s\n' "$1" >&2
    exit 75
}

# Finds Python, or ends with 75.
find_python() {
    python="$(command -v python3)" || unavailable 'there is no python3; install Python 3.10 or newer with pip'
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
        || unavailable "$("$python" --version) is too old; 3.10 or newer is needed"
}

# Makes the virtual environment NAME with what FILE asks for, unless it is there already.
environment() {
    local name="$1" file="$2" stamp
    stamp="$("$python" --version) $(cksum <"$file")"
    if [[ -f $tools/$name/stamp && "$(<"$tools/$name/stamp")" == "$stamp" ]]; then
        return
    fi
    printf 'installing what %s names into target/tools/%s\n' "$file" "$name" >&2
    mkdir -p "$tools"
    "$python" -m venv --clear "$tools/$name" \
        || unavailable 'python3 -m venv does not work here; some systems have it in a package of its own (python3-venv)'
    "$tools/$name/bin/pip" install --quiet --disable-pip-version-check --requirement "$file" \
        || unavailable "pip could not install what $file names; its own words are above"
    printf '%s' "$stamp" >"$tools/$name/stamp"
}
