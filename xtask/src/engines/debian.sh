# The files of a small Debian as an archive ($1), from the packages that are installed on this machine.
set -eu
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"
# /bin and its like are links on a machine with a merged /usr, which packages do not know.
for dir in bin sbin lib lib64; do
    [ ! -L "/$dir" ] || { mkdir -p "$root/usr/$dir" && ln -s "usr/$dir" "$root/$dir"; }
done
for package in base-files base-passwd bash coreutils dash grep libacl1 libattr1 libc-bin libc6 libgmp10 libpcre2-8-0 \
    libselinux1 libtinfo6 procps sed; do
    dpkg -L "$package"
done | grep -v -e '^/\.$' -e '^/usr/share/\(doc\|man\|locale\|info\|bug\|lintian\)\(/\|$\)' | sort -u | while read -r path; do
    if [ -d "$path" ] && [ ! -L "$path" ]; then
        mkdir -p "$root$path"
    elif [ -e "$path" ]; then
        mkdir -p "$root${path%/*}"
        cp -a "$path" "$root$path"
    fi
done
[ -e "$root/bin/sh" ] || ln -s dash "$root/bin/sh"
mkdir -p "$root/dev" "$root/etc" "$root/proc" "$root/run" "$root/sys" "$root/tmp"
chmod 1777 "$root/tmp"
cp /usr/share/base-passwd/passwd.master "$root/etc/passwd"
cp /usr/share/base-passwd/group.master "$root/etc/group"
tar -C "$root" -c --numeric-owner -f "$1.$$" .
mv "$1.$$" "$1"
