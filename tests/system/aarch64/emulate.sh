# Runs a program of an aarch64 root on this processor; sourced after debian.sh.
# shellcheck shell=sh

# emulate ROOT PROCESSOR [-QEMU OPTIONS...] PROGRAM...: no binfmt_misc needed, so the program may start no other.
emulate() {
    (
        place=$1 processor=$2
        shift 2
        in_root "$place" /opt/emulator/ld-linux-x86-64.so.2 --library-path /opt/emulator /opt/emulator/qemu-aarch64 \
            -cpu "$processor" -E OMP_NUM_THREADS=1 -E PYTHONPATH=/opt/packages "$@"
    )
}

# What /proc/cpuinfo says on a Raspberry Pi 4 (cortex-a72) or 5 (cortex-a76): libraries choose their kernels by it.
cpuinfo() {
    case $1 in
        cortex-a72) variant=0x0 part=0xd08 revision=3 features="fp asimd evtstrm crc32 cpuid" ;;
        cortex-a76) variant=0x4 part=0xd0b revision=1 \
            features="fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp" ;;
    esac
    for number in 0 1 2 3; do
        printf 'processor\t: %s\nBogoMIPS\t: 108.00\nFeatures\t: %s\nCPU implementer\t: 0x41\n' "$number" "$features"
        printf 'CPU architecture: 8\nCPU variant\t: %s\nCPU part\t: %s\nCPU revision\t: %s\n\n' "$variant" "$part" "$revision"
    done
}
