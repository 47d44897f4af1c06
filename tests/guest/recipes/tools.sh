# shellcheck shell=bash
# Read by each recipe. Needs: GUEST, the folder of the programs; MANIFESTS, where the manifests go.

# fill DEVICE unix|plain NAME [mount arguments]: puts files on it and notes what is there as NAME.json.
fill() {
    fill_device=$1 fill_kind=$2 fill_name=$3
    shift 3
    mkdir -p /mnt/fill
    mount "$@" "$fill_device" /mnt/fill
    python3 "$GUEST/populate.py" /mnt/fill "$fill_kind"
    note "$fill_kind" "$fill_name"
    umount /mnt/fill
}

# note unix|plain NAME: the manifest of what is mounted at /mnt/fill, read again from the disk.
note() {
    sync
    echo 3 >/proc/sys/vm/drop_caches
    note_flag=
    if [ "$1" = plain ]; then note_flag=--content; fi
    python3 "$GUEST/manifest.py" $note_flag /mnt/fill >"$MANIFESTS/$2.json"
}

# parts DEVICE: waits until the kernel and udev know the partitions.
parts() {
    partprobe "$1"
    udevadm settle
}
