// Where the time of a launch goes: `floor --profile --loop N` prints the steps of both sides in microseconds.

static int profiling, np;
static unsigned long ptime[60];
static const char *pname[60];

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static unsigned long tsc(void) {
    unsigned lo, hi;
    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
    return (unsigned long)hi << 32 | lo;
}

// A step of the parent ends here.
#define PMARK(name) (profiling ? (void)(ptime[np] = tsc(), pname[np++] = (name)) : (void)0)

#define MAX_RUNS 5000
static struct series { char name[40]; double *at; int n; } series[100];
static int nseries;

static void note(const char *side, const char *name, double us) {
    char full[40];
    snprintf(full, sizeof full, "%s%s", side, name);
    int i = 0;
    while (i < nseries && strcmp(series[i].name, full)) i++;
    if (i == nseries) {
        nseries++;
        strcpy(series[i].name, full);
        series[i].at = malloc(MAX_RUNS * sizeof(double));
    }
    if (series[i].n < MAX_RUNS) series[i].at[series[i].n++] = us;
}

// Takes one launch into account; the stage has written its marks to `fd`.
static void profile_launch(int fd) {
    static struct params r;
    static double per_us;
    if (!per_us) {
        double a = now();
        unsigned long b = tsc();
        usleep(20000);
        per_us = (tsc() - b) / (now() - a);
    }
    for (int i = 1; i < np; i++) note("", pname[i], (ptime[i] - ptime[i - 1]) / per_us);
    if (read(fd, &r, sizeof r) == sizeof r) {
        unsigned long end = r.mark_at[r.marks - 1];
        note("C ", "starts, since begin", (r.mark_at[0] - ptime[0]) / per_us);
        for (int i = 1; i < r.marks; i++) note("C ", r.mark_name[i], (r.mark_at[i] - r.mark_at[i - 1]) / per_us);
        note("C ", "execs, since begin", (end - ptime[0]) / per_us);
        for (int i = 0; i < np; i++)
            if (!strcmp(pname[i], "P reaped")) note("", "exec, main, exit, reap", (ptime[i] - end) / per_us);
    }
    note("", "total", (ptime[np - 1] - ptime[0]) / per_us);
}

static int by_value(const void *a, const void *b) {
    double x = *(double *)a, y = *(double *)b;
    return x < y ? -1 : x > y;
}

static void profile_print(void) {
    for (int s = 0; s < nseries; s++) {
        struct series *x = &series[s];
        qsort(x->at, x->n, sizeof(double), by_value);
        printf("%-28s min %7.1f p10 %7.1f med %7.1f\n", x->name, x->at[0], x->at[x->n / 10], x->at[x->n / 2]);
    }
}
