#!/bin/sh
# Makes the root of an image: the named programs of /programs, the libraries that they need, a user, and
# nothing else. There is no shell, no package manager and no file that the user may change but under its own
# folders. Runs in a Debian image, from which the libraries come.
#
#   collect.sh ROOT PROGRAM...     with WITH_LIBTORCH=1: the trainer's libraries too
#                                  with WITH_GDAL=1: the tables of GDAL and PROJ, for programs that load libgdal
set -eu
root=$1
shift
user=10001

mkdir -p "$root/usr/bin" "$root/etc" "$root/usr/share/doc/eosfed/sbom" "$root/usr/share/doc/eosfed/licences"
install -d -m 1777 "$root/tmp"
# State, and what is handed over: tokens, plans, releases. Volumes that are mounted there get this owner.
install -d -m 0700 -o $user -g $user "$root/var/lib/eosfed" "$root/exchange"
echo "eosfed:x:$user:$user:EoS-Fed:/var/lib/eosfed:/usr/sbin/nologin" > "$root/etc/passwd"
echo "eosfed:x:$user:" > "$root/etc/group"
echo "hosts: files dns" > "$root/etc/nsswitch.conf"

if [ "${WITH_LIBTORCH:-}" = 1 ]; then
    mkdir -p "$root/opt/libtorch/lib"
    cp -a /programs/libtorch/. "$root/opt/libtorch/lib/"
    export LD_LIBRARY_PATH=$root/opt/libtorch/lib
    echo /opt/libtorch/lib > "$root/etc/ld.so.conf"
fi

if [ "${WITH_GDAL:-}" = 1 ]; then
    # By the paths at which the libraries look.
    mkdir -p "$root/usr/share"
    cp -a /usr/share/gdal /usr/share/proj "$root/usr/share/"
fi

needed=$(mktemp)
for program; do
    cp "/programs/bin/$program" "$root/usr/bin/"
    chmod 0755 "$root/usr/bin/$program"
    ldd "$root/usr/bin/$program" > "$needed.one"
    if grep 'not found' "$needed.one" >&2; then
        echo "error: $program needs libraries that are not there" >&2
        exit 1
    fi
    grep -o '/[^ )]*' "$needed.one" >> "$needed"
    # Bills of materials have the names of crates. Programs that were packed without `make sbom` have none.
    crate=$program
    [ "$program" != eosfed ] || crate=eosfed-cli
    if [ -d /programs/sbom ]; then
        cp "/programs/sbom/$crate.cdx.json" "$root/usr/share/doc/eosfed/sbom/"
    fi
done

# The libraries of Debian, by the path at which the loader looks, with the licences of their packages.
packages=$root/usr/share/doc/eosfed/debian-packages
sort -u "$needed" | grep -v "^$root" | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
    real=$(readlink -f "$library")
    for path in "$library" "$real" "${real#/usr}"; do
        package=$(dpkg-query -S "$path" 2> /dev/null | head -n 1 | cut -d : -f 1) || true
        [ -z "$package" ] || break
    done
    if [ -n "$package" ]; then
        dpkg-query -W -f '${Package} ${Version}\n' "$package" >> "$packages"
        cp "/usr/share/doc/$package/copyright" "$root/usr/share/doc/eosfed/licences/$package" 2> /dev/null || true
    fi
done
if [ "${WITH_GDAL:-}" = 1 ]; then
    if ! grep -q '/libgdal\.so' "$needed"; then
        echo "error: the programs were not built with the feature gdal: they do not load libgdal" >&2
        exit 1
    fi
    for package in gdal-data proj-data; do
        dpkg-query -W -f '${Package} ${Version}\n' "$package" >> "$packages"
        cp "/usr/share/doc/$package/copyright" "$root/usr/share/doc/eosfed/licences/$package" 2> /dev/null || true
    done
fi
sort -u -o "$packages" "$packages"
ldconfig -r "$root" 2> /dev/null || true
