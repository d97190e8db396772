#!/usr/bin/env bash
# `make sam-local` where there is no Docker and nothing can be pulled: with a daemon of its own, Debian's, and an
# image that is made of this machine's own files. All of it runs in namespaces that end with this script, from
# packages that are unpacked and not installed: nothing is left behind. Where it cannot be done, this says why in
# one line, and is content.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# What SAM calls the image that it would make of the real one and of its own emulator of Lambda's interface.
readonly IMAGE=public.ecr.aws/lambda/provided:al2023-rapid-x86_64

# ---- Outside: what is needed, and what is to be removed ----------------------------------------------

leave_out() {
    echo "sam local is left out: $1"
    exit 0
}

# Docker's daemon, and what it needs, from the packages that are not installed here.
unpack_docker() {
    local packages=(timeout 180 apt-get -qq --no-install-recommends --download-only -o "Dir::Cache::archives=$work/packages"
        install -y docker.io iptables)
    mkdir -p "$work/packages/partial" "$work/root"
    "${packages[@]}" &>"$work/apt.log" || { timeout 180 apt-get -qq update && "${packages[@]}"; } &>"$work/apt.log" ||
        leave_out "its packages cannot be had: $(tail -n 1 "$work/apt.log")"
    local package
    for package in "$work"/packages/*.deb; do
        dpkg --extract "$package" "$work/root"
    done
    # What an installation would choose.
    ln -s xtables-nft-multi "$work/root/usr/sbin/iptables"
    ln -s xtables-nft-multi "$work/root/usr/sbin/ip6tables"
}

# Runs this script's other half in namespaces, and in control groups below those of the machine.
in_namespaces() {
    local group file
    mapfile -t groups < <(findmnt -rno TARGET -t cgroup,cgroup2)
    groups=("${groups[@]/%//sam-local.$$}")
    for group in "${groups[@]}"; do
        mkdir "$group" 2>"$work/mkdir.log" || leave_out "its control groups cannot be made: $(<"$work/mkdir.log")"
        for file in cpuset.cpus cpuset.mems; do
            # The first version's take nothing in before they have these.
            [[ ! -e ${group%/*}/$file ]] || cat "${group%/*}/$file" >"$group/$file"
        done
    done
    (
        for group in "${groups[@]}"; do
            echo "$BASHPID" >"$group/cgroup.procs"
        done
        # It ends with this script, however that ends, and with it everything that runs in the namespaces.
        exec setpriv --pdeathsig KILL unshare --mount --net --pid --cgroup --fork --kill-child --mount-proc \
            bash scripts/sam_local_ci.sh inside "$work"
    ) &
    child=$!
    # Unlike for a command, a signal is not kept waiting for this.
    wait "$child"
}

remove() {
    local group tries
    if [[ $child ]] && kill -KILL "$child" 2>/dev/null; then
        # It fails with the signal's number, which must not end this before its work is done.
        wait "$child" 2>/dev/null || true
    fi
    for group in "${groups[@]}"; do
        # What was killed may be a moment in ending.
        for ((tries = 0; tries < 100; tries++)); do
            [[ -d $group ]] || break
            find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.1
        done
    done
    rm -rf "$work"
}

outside() {
    [[ $(uname -sm) == "Linux x86_64" ]] || leave_out "its functions are built for x86_64 Linux, and this is $(uname -sm)"
    ((EUID == 0)) || leave_out "a daemon of its own needs root"
    local tool
    for tool in unshare setpriv findmnt ip apt-get dpkg; do
        command -v "$tool" >/dev/null || leave_out "there is no $tool"
    done
    [[ -e /etc/ssl/certs/ca-certificates.crt ]] || leave_out "there are no ca-certificates where Debian has them"
    unshare --mount --net --pid --cgroup --fork true 2>/dev/null || leave_out "no namespaces can be made here"
    work=$(mktemp -d)
    # What is killed removes no temporary files of its own.
    export TMPDIR=$work
    groups=()
    child=
    trap remove EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    command -v dockerd >/dev/null && command -v iptables >/dev/null || unpack_docker
    in_namespaces
}

# ---- Inside: a daemon, the image, the checks ------------------------------------------------------------

# What the daemon needs to itself: its socket and state apart from those of another one, and the control groups of
# the namespace, with all controllers.
mount_all() {
    local kind controllers
    kind=$(findmnt -rno FSTYPE /sys/fs/cgroup)
    mount -t tmpfs tmpfs /run && mount -t sysfs sysfs /sys || return
    if [[ $kind == cgroup2 ]]; then
        # A group that has processes passes no controllers on.
        mount -t cgroup2 cgroup2 /sys/fs/cgroup && mkdir /sys/fs/cgroup/init &&
            echo $$ >/sys/fs/cgroup/init/cgroup.procs &&
            sed 's/[^ ]*/+&/g' /sys/fs/cgroup/cgroup.controllers >/sys/fs/cgroup/cgroup.subtree_control
        return
    fi
    mount -t tmpfs tmpfs /sys/fs/cgroup || return
    while IFS=: read -r _ controllers _; do
        [[ $controllers && $controllers != name=* ]] || continue
        mkdir "/sys/fs/cgroup/$controllers" &&
            mount -t cgroup -o "$controllers" cgroup "/sys/fs/cgroup/$controllers" || return
    done </proc/self/cgroup
}

start_docker() {
    local libraries=/usr/lib/x86_64-linux-gnu
    LD_LIBRARY_PATH="$work/root$libraries:$work/root/lib/x86_64-linux-gnu" \
        XTABLES_LIBDIR="$work/root$libraries/xtables:$libraries/xtables" \
        dockerd --data-root "$work/docker" &>"$work/dockerd.log" &
    local daemon=$! tries
    for ((tries = 0; tries < 300; tries++)); do
        docker version &>/dev/null && return
        kill -0 "$daemon" 2>/dev/null || return
        sleep 0.1
    done
    return 1
}

# An image with what the functions are linked to, the authorities that they trust, and SAM's emulator of Lambda's
# interface; the functions are mounted into it.
make_image() {
    local root="$work/image" library emulator
    mkdir -p "$root"/{tmp,proc,sys,dev,var/task,var/rapid,etc/pki/tls/certs}
    ldd target/lambda/*/bootstrap | grep -o '/[^ ]*\.so[^ ]*' | sort -u | while read -r library; do
        cp -L --parents "$library" "$root"
    done
    cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/pki/tls/certs/ca-bundle.crt"
    emulator=$(.venv/bin/python -c 'import samcli; print(*samcli.__path__)')/local/rapid/aws-lambda-rie-x86_64
    chmod 1777 "$root/tmp"
    cp "$emulator" "$root/var/rapid/aws-lambda-rie"
    tar -C "$root" -c . | docker import --platform linux/amd64 \
        --change 'ENV LAMBDA_TASK_ROOT=/var/task LAMBDA_RUNTIME_DIR=/var/runtime' - "$IMAGE" >/dev/null
}

inside() {
    work=$1
    export PATH="$PATH:$work/root/usr/sbin:$work/root/usr/bin"
    mount_all 2>"$work/mount.log" || leave_out "nothing can be mounted here: $(tail -n 1 "$work/mount.log")"
    ip link set lo up
    start_docker || leave_out "its daemon does not start: $(tail -n 1 "$work/dockerd.log")"
    make_image
    make sam-local
}

if [[ ${1:-} == inside ]]; then
    inside "$2"
else
    outside
fi
