# Sourced by .ci/run, example/demo, tests/run and tests/benchmarks/run: a virtual
# environment from nothing but python3 with pip. The caller sets $name, $python3 and $log.

stop() {
    printf '%s: %s\n' "$name" "$*" >&2
    exit 1
}

logged() {
    "$@" >>"$log" 2>&1 </dev/null
}

has_uv() {
    uv --version >/dev/null 2>&1
}

absolute() {
    case $1 in /*) printf '%s\n' "$1" ;; *) printf '%s\n' "$PWD/$1" ;; esac
}

# find_python VERSION: the newest installed Python of it, from PATH or from pyenv.
find_python() {
    for candidate in "python$1" "$(pyenv root 2>/dev/null)/versions/$1".*/bin/python; do
        if [ "$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "$1" ]; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

# Debian's python3 has no ensurepip: then pip, which is there, works from outside.
make_venv() {
    "$python3" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        stop "Python 3.11 or newer is needed; $python3 is $("$python3" --version 2>&1)."
    interpreter=$("$python3" -c 'import sys; print(sys.executable)')
    if has_uv && logged uv venv --python "$interpreter" "$1"; then
        return
    elif "$python3" -m pip --version >/dev/null 2>&1; then
        logged "$python3" -m venv --without-pip "$1"
    else
        logged "$python3" -m venv "$1"
    fi
}

# What is never imported is not compiled either.
install_into() {
    venv_python=$1/bin/python
    shift
    if has_uv && logged uv pip install --python "$venv_python" "$@"; then
        return
    elif "$venv_python" -m pip --version >/dev/null 2>&1; then
        logged "$venv_python" -m pip install --no-compile "$@"
    else
        logged "$python3" -m pip --python "$venv_python" install --no-compile "$@"
    fi
}

# prepare VENV REQUIREMENT...: make the environment and install, unless both were done
# for this checkout, as it is now. Runs in the root of the checkout.
prepare() {
    venv=$1
    shift
    if ! [ -x "$venv/bin/python" ]; then
        echo "Making a virtual environment in $venv"
        make_venv "$venv" || stop "That did not work. $(tail -n 5 "$log")"
    fi
    made_for="$PWD $* $(cat pyproject.toml example/requirements.txt | cksum)"
    if ! grep -qxF -- "$made_for" "$venv/made-for" 2>/dev/null; then
        echo "Installing $*"
        install_into "$venv" "$@" || stop "That did not work. $(tail -n 15 "$log")"
        printf '%s\n' "$made_for" >>"$venv/made-for"
    fi
}
