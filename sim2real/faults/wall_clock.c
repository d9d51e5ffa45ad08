/* Answers for the wall clock with an offset that a file holds; loaded ahead of the C
 * library into the controller's processes of a stand. Monotonic clocks stay as they are.
 * Waits until a moment of the wall clock are given to the kernel on its own clock, for it
 * knows nothing of the offset; moments of a monotonic clock lie within a billion seconds
 * of the start of the machine, and those of the wall clock do not. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile const int64_t *offset_s;

__attribute__((constructor)) static void open_offset(void) {
    const char *path = getenv("CELLWARD_STAND_WALL_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *page = mmap(NULL, sizeof *offset_s, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (page != MAP_FAILED)
        offset_s = page;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && offset_s && clock == CLOCK_REALTIME)
        now->tv_sec += *offset_s;
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec fine;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &fine);
    now->tv_sec = fine.tv_sec;
    now->tv_usec = fine.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *seconds) {
    struct timespec fine;
    clock_gettime(CLOCK_REALTIME, &fine);
    if (seconds)
        *seconds = fine.tv_sec;
    return fine.tv_sec;
}

static struct timespec shift(const struct timespec *moment) {
    struct timespec shifted = *moment;
    if (offset_s && moment->tv_sec > 1000000000)
        shifted.tv_sec -= *offset_s;
    return shifted;
}

int pthread_cond_timedwait(pthread_cond_t *restrict condition,
                           pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict moment) {
    static int (*wait)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    struct timespec shifted = shift(moment);
    /* The oldest of its versions, which a plain look-up may find, is another one. */
    if (!wait)
        *(void **)&wait = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    if (!wait)
        *(void **)&wait = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    return wait(condition, mutex, &shifted);
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict moment) {
    static int (*wait)(sem_t *, const struct timespec *);
    struct timespec shifted = shift(moment);
    if (!wait)
        *(void **)&wait = dlsym(RTLD_NEXT, "sem_timedwait");
    return wait(semaphore, &shifted);
}
