// The part of the floor that runs inside the container, as a program of its own.
//
// It has no libc: a static glibc start costs 0.25 ms in page faults. floor.c writes this executable into a memfd
// with `P` filled in, clones with CLONE_VM and executes it there, which is cheaper than a fork and its
// copy-on-write faults. Included by floor.c with IN_FLOOR defined it is the child of a plain fork instead.

#include "stage.h"

#ifndef IN_FLOOR
__attribute__((section(".data"), aligned(4096))) struct params P = {.magic = PARAMS_MAGIC};
#endif

#define NR_read 0
#define NR_write 1
#define NR_close 3
#define NR_ioctl 16
#define NR_socket 41
#define NR_recvmsg 47
#define NR_exit 60
#define NR_fchdir 81
#define NR_chdir 80
#define NR_umask 95
#define NR_setsid 112
#define NR_setgroups 116
#define NR_setresuid 117
#define NR_setresgid 119
#define NR_capset 126
#define NR_pivot_root 155
#define NR_prctl 157
#define NR_umount2 166
#define NR_sethostname 170
#define NR_keyctl 250
#define NR_mkdirat 258
#define NR_mknodat 259
#define NR_symlinkat 266
#define NR_unshare 272
#define NR_prlimit64 302
#define NR_setns 308
#define NR_seccomp 317
#define NR_execveat 322
#define NR_execve 59
#define NR_open_tree 428
#define NR_move_mount 429
#define NR_fsopen 430
#define NR_fsconfig 431
#define NR_fsmount 432
#define NR_close_range 436
#define NR_mount_setattr 442
#define NR_open_tree_attr 467

static inline long sys(long n, long a, long b, long c, long d, long e) {
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    long r;
    __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
    return r;
}
#define S0(n) sys(n, 0, 0, 0, 0, 0)
#define S1(n, a) sys(n, (long)(a), 0, 0, 0, 0)
#define S2(n, a, b) sys(n, (long)(a), (long)(b), 0, 0, 0)
#define S3(n, a, b, c) sys(n, (long)(a), (long)(b), (long)(c), 0, 0)
#define S4(n, a, b, c, d) sys(n, (long)(a), (long)(b), (long)(c), (long)(d), 0)
#define S5(n, a, b, c, d, e) sys(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e))

static struct params *p;

static void mark(const char *name) {
    if (p->profile_fd < 0) return;
    unsigned lo, hi;
    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
    if (p->marks < MAX_MARKS) {
        p->mark_at[p->marks] = (unsigned long)hi << 32 | lo;
        for (int i = 0; i < 23 && name[i]; i++) p->mark_name[p->marks][i] = name[i];
        p->marks++;
    }
}

static long need(long outcome, int step) {
    if (outcome < 0) {
        char text[] = "floor stage: step 000 errno 000\n";
        text[18] += step / 100 % 10, text[19] += step / 10 % 10, text[20] += step % 10;
        text[28] += -outcome / 100 % 10, text[29] += -outcome / 10 % 10, text[30] += -outcome % 10;
        S3(NR_write, 2, text, sizeof text - 1);
        S1(NR_exit, 120);
    }
    return outcome;
}
#define MUST(x) need((x), __LINE__)

// A new, detached file system; options are names and values, a flag's value being null.
static int made(const char *type, const char *source, long attrs, const char *const *options) {
    int fs = MUST(S2(NR_fsopen, type, 1));
    MUST(S5(NR_fsconfig, fs, 1, "source", source, 0));
    for (; options && *options; options += 2)
        if (options[1]) MUST(S5(NR_fsconfig, fs, 1, options[0], options[1], 0));
        else MUST(S5(NR_fsconfig, fs, 0, options[0], 0, 0));
    MUST(S5(NR_fsconfig, fs, 6, 0, 0, 0));
    int mount = MUST(S3(NR_fsmount, fs, 1, attrs));
    return mount;
}

static long move(int mount, int dir, const char *name) {
    return S5(NR_move_mount, mount, "", dir, name, name[0] ? 4 : 0x44);
}

static int cloned(int dir, const char *name) {
    return S3(NR_open_tree, dir, name, name[0] ? 0x80001 : 0x81001);
}

static void set_attrs(int mount, long set, int recursive) {
    long attr[4] = {set, 0, 0, 0};
    MUST(S5(NR_mount_setattr, mount, "", 0x1000 | (recursive ? 0x8000 : 0), attr, sizeof attr));
}

// One message of the parent: any number of descriptors and one byte.
static int turn(int *fds, int max) {
    char byte;
    struct { void *base; unsigned long len; } iov = {&byte, 1};
    static struct { unsigned long len; int level, type; int fd[32]; } control;
    struct { void *name; unsigned namelen; void *iov; unsigned long iovlen; void *control; unsigned long controllen; int flags; }
    message = {0, 0, &iov, 1, &control, sizeof control, 0};
    long n = S3(NR_recvmsg, p->turn_fd, &message, 0x40000000);
    if (n != 1) need(-1, __LINE__);
    int count = message.controllen > 16 ? (control.len - 16) / 4 : 0;
    for (int i = 0; i < count && i < max; i++) fds[i] = control.fd[i];
    return count;
}

// Whether there was such a path to cover.
static int moved(int mount, int dir, const char *name) {
    long outcome = move(mount, dir, name);
    if (outcome == -2) return 0;
    need(outcome, __LINE__);
    return 1;
}

static int attach_sysfs(int root, int mask) {
    int sysfs = made("sysfs", "sysfs", RDONLY | NOSUID | NODEV | NOEXEC, 0);
    MUST(move(sysfs, root, "sys"));
    moved(mask, sysfs, "firmware");
    mark("sysfs");
    return sysfs;
}

static const char *const shm_options[] = {"mode", "1777", "size", "65536k", 0};
static const char *const pts_options[] = {"newinstance", 0, "ptmxmode", "0666", "mode", "0620", "gid", "5", 0};

static int stage_main(struct params *params) {
    p = params;
    mark("start");
    int given[32];
    S1(NR_umask, 0);
    if (p->map_turn) {
        // Until the maps are written uid 0 has no meaning here, and what is made now would belong to nobody.
        turn(given, 32);
        MUST(S3(NR_setresgid, 0, 0, 0));
        MUST(S3(NR_setresuid, 0, 0, 0));
        mark("maps turn");
    }
    if (p->unshare_first) MUST(S1(NR_unshare, p->unshare_first)), mark("unshare");
    int root = p->rootfs_fd;
    if (p->root_turn) {
        turn(given, 1);
        root = given[0];
        mark("root turn");
    }
    long private[4] = {0, 0, 1 << 18, 0};
    MUST(S5(NR_mount_setattr, -100, "/", 0x8000, private, sizeof private));
    MUST(move(root, -100, "/"));
    mark("private, root");
    int proc = made("proc", "proc", NOSUID | NODEV | NOEXEC, 0);
    MUST(move(proc, root, "proc"));
    mark("proc");
    // Masks: one clone a path. A path that is missing leaves its clone to the next one, and the last is always there, so
    // that no detached mount is left over whose end would wait for a grace period.
    int mask = made("tmpfs", "tmpfs", RDONLY, 0), copy = -1;
    static const char *const dirs[] = {"asound", "scsi", "acpi"};
    for (int i = 0; i < 3; i++) {
        if (copy < 0) copy = MUST(cloned(mask, ""));
        if (moved(copy, proc, dirs[i])) copy = -1;
    }
    mark("mask dirs");
    static const char *const readonly[] = {"bus", "fs", "irq", "sys", "sysrq-trigger"};
    for (int i = 0; i < 5; i++) {
        long attr[4] = {RDONLY, 0, 0, 0};
        long m = S5(NR_open_tree_attr, proc, readonly[i], 0x80001, attr, sizeof attr);
        if (m == -2) continue;
        need(m, __LINE__);
        MUST(move(m, proc, readonly[i]));
    }
    mark("readonly paths");
    int sysfs = -1;
    if (!p->join_net) sysfs = attach_sysfs(root, mask);

    // What the parent made meanwhile: a namespace to join, /dev, the tree of cgroup mounts, a tasks file a hierarchy.
    int n = turn(given, 32), at = 0;
    mark("turn");
    if (p->join_net) {
        MUST(S2(NR_setns, given[at++], 0x40000000));
        sysfs = attach_sysfs(root, mask);
    }
    int dev = given[at++], tree = p->cgroup_tree_given ? given[at++] : -1;
    for (; at < n; at++) MUST(S3(NR_write, given[at], "0", 1));
    mark("attach");
    MUST(S1(NR_unshare, 0x02000000));
    if (tree < 0) tree = made("cgroup2", "cgroup", RDONLY | NOSUID | NODEV | NOEXEC, 0);
    MUST(move(tree, sysfs, "fs/cgroup"));
    mark("cgroupns, mount");
    MUST(move(dev, root, "dev"));
    int m = p->pts_by_parent ? -1 : made("devpts", "devpts", NOSUID | NOEXEC, pts_options);
    if (m >= 0) MUST(move(m, dev, "pts"));
    m = p->pts_by_parent ? -1 : made("tmpfs", "shm", NOSUID | NODEV | NOEXEC, shm_options);
    if (m >= 0) MUST(move(m, dev, "shm"));
    MUST(move(made("mqueue", "mqueue", NOSUID | NODEV | NOEXEC, 0), dev, "mqueue"));
    mark("dev, mqueue");
    static const char *const files[] = {"kcore", "latency_stats", "timer_list", "timer_stats", "sched_debug", "keys"};
    int null = -1;
    for (int i = 0; i < 6; i++) {
        if (null < 0) null = MUST(cloned(dev, "null"));
        if (moved(null, proc, files[i])) null = -1;
    }
    mark("mask files");
    if (p->loopback) {
        int s = MUST(S3(NR_socket, 2, 2, 0));
        struct { char name[16]; short flags; char rest[22]; } ifr = {"lo", 1 | 64, {0}};
        MUST(S3(NR_ioctl, s, 0x8914, &ifr));
        mark("lo up");
    }
    MUST(S1(NR_fchdir, root));
    MUST(S2(NR_pivot_root, ".", "."));
    mark("pivot");
    MUST(S2(NR_umount2, ".", 2));
    mark("umount");
    set_attrs(root, RDONLY, 0);
    MUST(S1(NR_chdir, "/"));
    MUST(S2(NR_sethostname, "floor", 5));
    S2(NR_keyctl, 1, "floor");
    S0(NR_setsid);
    mark("root ro,host,key");
    long nofile[2] = {1024, 1024};
    MUST(S4(NR_prlimit64, 0, 7, nofile, 0));
    unsigned long keep = 1ul << 29 | 1ul << 5 | 1ul << 10;
    for (int c = 0; c <= p->last_cap; c++)
        if (!(keep >> c & 1)) S2(NR_prctl, 24, c);
    mark("bounding set");
    S2(NR_setgroups, 0, 0);
    MUST(S3(NR_setresgid, 0, 0, 0));
    MUST(S3(NR_setresuid, 0, 0, 0));
    unsigned header[2] = {0x20080522, 0}, sets[6] = {keep, keep, 0, 0, 0, 0};
    MUST(S2(NR_capset, header, sets));
    MUST(S5(NR_prctl, 38, 1, 0, 0, 0));
    mark("ids,caps");
    static char blob[65536] __attribute__((aligned(16)));
    struct { unsigned short len; void *filter; } prog = {0, blob};
    if (p->seccomp_fd >= 0) prog.len = MUST(S3(NR_read, p->seccomp_fd, blob, sizeof blob)) / 8;
    MUST(S3(NR_close_range, 3, ~0u, 4));
    if (prog.len) MUST(S3(NR_seccomp, 1, 0, &prog)), mark("seccomp");
    mark("end");
    if (p->profile_fd >= 0) S3(NR_write, p->profile_fd, p, sizeof *p);
    char *argv[] = {p->program, 0}, *env[] = {"PATH=/bin", 0};
    MUST(S3(NR_execve, p->program, argv, env));
    return 0;
}

#ifndef IN_FLOOR
__attribute__((noreturn, used)) static void begin(void) {
    stage_main(&P);
    S1(NR_exit, 0);
    __builtin_unreachable();
}
__attribute__((naked, noreturn)) void _start(void) {
    __asm__("and $-16, %rsp\n call begin");
}
void *memset(void *d, int c, unsigned long n) { char *x = d; while (n--) *x++ = c; return d; }
void *memcpy(void *d, const void *s, unsigned long n) { char *x = d; const char *y = s; while (n--) *x++ = *y++; return d; }
#endif
