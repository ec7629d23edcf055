# What is in the package and in the tarball. Sourced by package.sh.
# shellcheck shell=bash disable=SC2154

ok "lintian finds nothing" lintian --no-cfg --allow-root --fail-on error,warning "$deb"

mkdir "$work/files"
dpkg-deb -x "$deb" "$work/files"
dpkg-deb --fsys-tarfile "$deb" | tar --numeric-owner -tvf - | awk '$1 !~ /^d/ {print $1, $2, $6}' | sort -k 3 > "$work/list"

in_package() { says "$1 0/0 ./$2" "$work/list"; }
doc=usr/share/doc/staticstored
ok "the program" in_package -rwxr-xr-x usr/bin/staticstored
for file in usr/lib/systemd/system/staticstored.service usr/lib/sysusers.d/staticstored.conf \
    usr/lib/tmpfiles.d/staticstored.conf etc/staticstored/config.toml usr/share/man/man1/staticstored.1.gz \
    usr/share/man/man1/staticstored-run.1.gz usr/share/bash-completion/completions/staticstored \
    usr/share/zsh/vendor-completions/_staticstored usr/share/fish/vendor_completions.d/staticstored.fish \
    $doc/{copyright,changelog.gz,README.md,docs/OPERATIONS.md} $doc/examples/{config.toml,nginx.conf,Caddyfile}; do
    ok "$file" in_package -rw-r--r-- "$file"
done
ok "all files are root's, and only root may write" \
    is "$(awk '$2 != "0/0" || substr($1, 6, 1) == "w" || substr($1, 9, 1) == "w"' "$work/list")" ""
dpkg-deb -I "$deb" conffiles > "$work/conffiles"
ok "the configuration is the only conffile" is "$(cat "$work/conffiles")" /etc/staticstored/config.toml
ok "it is the example, as it is" cmp deploy/staticstored.toml.example "$work/files/etc/staticstored/config.toml"
version=$("$work/files/usr/bin/staticstored" --version)
ok "the package bears the version of the program" is "staticstored $(dpkg-deb -f "$deb" Version)" "$version"
gunzip -c "$work/files/$doc/changelog.gz" > "$work/changelog"
ok "its changelog is Debian's, without a complaint" \
    is "$(dpkg-parsechangelog -l "$work/changelog" -S Version 2>&1)" "$(dpkg-deb -f "$deb" Version)"
ok "the program has no symbols" sh -c 'file -b "$1" | grep -q ", stripped"' - "$work/files/usr/bin/staticstored"

mkdir "$work/tar"
tar -xzf "$tarball" -C "$work/tar" --strip-components=1
ok "the tarball holds the same files" sh -c 'cd "$1" && ls staticstored README.md CHANGELOG.md LICENSE-MIT \
    LICENSE-APACHE docs/OPERATIONS.md deploy/staticstored.service deploy/staticstored.sysusers \
    deploy/staticstored.tmpfiles deploy/staticstored.toml.example deploy/nginx.conf deploy/Caddyfile \
    man/staticstored.1 completions/staticstored.bash completions/_staticstored completions/staticstored.fish' - "$work/tar"
case $tarball in
    # Nothing but the program: no libc, no shell.
    *-musl.tar.gz) ok "its program needs nothing" chroot "$work/tar" /staticstored --version ;;
    *) echo "       its program is bound to this machine's libc: no musl here" ;;
esac
