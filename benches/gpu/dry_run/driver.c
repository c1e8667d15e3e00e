/* A CUDA driver that executes nothing, for machines without a GPU.
 *
 * Programs that load libcuda.so find a device of compute capability DRY_RUN_SM (80 or 90). Their kernels are compiled
 * by the real NVRTC, and what reaches the driver is counted: launches, transfers, waits, memory. Every float that is
 * read back is 2, which is also what the check of a device expects; memory has addresses and no bytes, so a model may
 * be as large as the device is said to be.
 *
 * At exit, counts go to DRY_RUN_OUT/counts.json; each module goes to DRY_RUN_OUT/N.ptx as it is loaded.
 *
 *     cc -shared -fPIC -O2 -o libcuda.so driver.c -lpthread
 */

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <string.h>

typedef int Result;
enum { SUCCESS = 0, INVALID = 1, OUT_OF_MEMORY = 2, NOT_FOUND = 500 };

#define API __attribute__((visibility("default")))
#define MOST_ALLOCATIONS (1 << 20)
#define MOST_KERNELS 4096

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

typedef struct {
    char name[512];
    uint64_t launches;
} Kernel;

typedef struct {
    uint64_t address, bytes;
} Allocation;

static Kernel kernels[MOST_KERNELS];
static int kernel_count;
static Allocation allocations[MOST_ALLOCATIONS];
static int allocation_count;

static struct {
    uint64_t launches, uploads, uploaded_bytes, reads, read_bytes, waits, modules, in_use, peak;
} counts;

static uint64_t next_address = 1ull << 40;

static int compute_capability(void) {
    const char *text = getenv("DRY_RUN_SM");
    return text ? atoi(text) : 80;
}

static uint64_t total_memory(void) {
    const char *text = getenv("DRY_RUN_MIB");
    return (text ? strtoull(text, NULL, 10) : 80 << 10) << 20;
}

static void *handle(void) {
    static char any;
    return &any;
}

/* The device. */

API Result cuInit(unsigned flags) { return SUCCESS; }
API Result cuDriverGetVersion(int *version) { *version = 12090; return SUCCESS; }
API Result cuDeviceGetCount(int *count) { *count = 1; return SUCCESS; }

API Result cuDeviceGet(int *device, int ordinal) {
    *device = ordinal;
    return ordinal == 0 ? SUCCESS : INVALID;
}

API Result cuDeviceGetName(char *name, int length, int device) {
    snprintf(name, length, "dry run, sm_%d", compute_capability());
    return SUCCESS;
}

API Result cuDeviceGetPCIBusId(char *id, int length, int device) {
    snprintf(id, length, "0000:01:00.0");
    return SUCCESS;
}

API Result cuDeviceGetUuid_v2(char *uuid, int device) { memset(uuid, 0, 16); return SUCCESS; }
API Result cuDeviceGetUuid(char *uuid, int device) { return cuDeviceGetUuid_v2(uuid, device); }
API Result cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = total_memory(); return SUCCESS; }

API Result cuMemGetInfo_v2(size_t *free_bytes, size_t *total) {
    *total = total_memory();
    *free_bytes = *total - counts.in_use;
    return SUCCESS;
}

API Result cuDeviceGetAttribute(int *value, int attribute, int device) {
    switch (attribute) {
    case 1: *value = 1024; break;                                        /* threads per block */
    case 2: case 3: *value = 1024; break;                                /* block dimensions x, y */
    case 4: *value = 64; break;                                          /* block dimension z */
    case 5: *value = 2147483647; break;                                  /* grid dimension x */
    case 6: case 7: *value = 65535; break;                               /* grid dimensions y, z */
    case 8: *value = 49152; break;                                       /* shared memory per block */
    case 10: *value = 32; break;                                         /* warp size */
    case 16: *value = compute_capability() >= 90 ? 132 : 108; break;     /* multiprocessors */
    case 75: *value = compute_capability() / 10; break;
    case 76: *value = compute_capability() % 10; break;
    case 97: *value = compute_capability() >= 90 ? 232448 : 166912; break; /* opt-in shared memory per block */
    case 115: *value = 1; break;                                         /* memory pools */
    default: *value = 0;
    }
    return SUCCESS;
}

API Result cuDevicePrimaryCtxRetain(void **context, int device) { *context = handle(); return SUCCESS; }
API Result cuDevicePrimaryCtxRelease_v2(int device) { return SUCCESS; }
API Result cuCtxSetCurrent(void *context) { return SUCCESS; }
API Result cuCtxGetCurrent(void **context) { *context = handle(); return SUCCESS; }
API Result cuCtxSynchronize(void) { return SUCCESS; }

API Result cuCtxGetStreamPriorityRange(int *least, int *greatest) {
    *least = *greatest = 0;
    return SUCCESS;
}

API Result cuGetErrorName(int error, const char **text) { *text = "error of the dry run"; return SUCCESS; }
API Result cuGetErrorString(int error, const char **text) { return cuGetErrorName(error, text); }

/* Streams and events: everything is over as soon as it is asked for. */

API Result cuStreamCreate(void **stream, unsigned flags) { *stream = handle(); return SUCCESS; }
API Result cuStreamCreateWithPriority(void **stream, unsigned f, int p) { return cuStreamCreate(stream, f); }
API Result cuStreamDestroy_v2(void *stream) { return SUCCESS; }
API Result cuStreamWaitEvent(void *stream, void *event, unsigned flags) { return SUCCESS; }
API Result cuStreamIsCapturing(void *stream, int *status) { *status = 0; return SUCCESS; }
API Result cuEventCreate(void **event, unsigned flags) { *event = handle(); return SUCCESS; }
API Result cuEventDestroy_v2(void *event) { return SUCCESS; }
API Result cuEventRecord(void *event, void *stream) { return SUCCESS; }
API Result cuEventQuery(void *event) { return SUCCESS; }

/* Waiting takes 20 ms, for which CubeCL aims when it measures what a device can do: it multiplies the work of a probe by
   20 ms over the time that the last one took, and work that takes no time would become more than a kernel can count. */
static Result waited(void) {
    pthread_mutex_lock(&lock);
    counts.waits++;
    pthread_mutex_unlock(&lock);
    usleep(20000);
    return SUCCESS;
}

API Result cuStreamSynchronize(void *stream) { return waited(); }
API Result cuEventSynchronize(void *event) { return waited(); }

API Result cuEventElapsedTime(float *milliseconds, void *start, void *end) {
    *milliseconds = 100.0f;
    return SUCCESS;
}
API Result cuEventElapsedTime_v2(float *milliseconds, void *start, void *end) {
    return cuEventElapsedTime(milliseconds, start, end);
}

/* Memory: addresses without bytes. */

static Result allocate(uint64_t *address, size_t bytes) {
    pthread_mutex_lock(&lock);
    Result result = SUCCESS;
    if (counts.in_use + bytes > total_memory() || allocation_count == MOST_ALLOCATIONS) {
        result = OUT_OF_MEMORY;
    } else {
        *address = next_address;
        next_address += (bytes + 1023) / 512 * 512;
        allocations[allocation_count++] = (Allocation){*address, bytes};
        counts.in_use += bytes;
        if (counts.in_use > counts.peak) counts.peak = counts.in_use;
    }
    pthread_mutex_unlock(&lock);
    return result;
}

static Result release(uint64_t address) {
    pthread_mutex_lock(&lock);
    Result result = INVALID;
    for (int i = 0; i < allocation_count; i++) {
        if (allocations[i].address == address) {
            counts.in_use -= allocations[i].bytes;
            allocations[i] = allocations[--allocation_count];
            result = SUCCESS;
            break;
        }
    }
    pthread_mutex_unlock(&lock);
    return result;
}

API Result cuMemAlloc_v2(uint64_t *address, size_t bytes) { return allocate(address, bytes); }
API Result cuMemAllocAsync(uint64_t *address, size_t bytes, void *stream) { return allocate(address, bytes); }
API Result cuMemFree_v2(uint64_t address) { return release(address); }
API Result cuMemFreeAsync(uint64_t address, void *stream) { return release(address); }

API Result cuMemAllocHost_v2(void **address, size_t bytes) {
    *address = malloc(bytes);
    return *address ? SUCCESS : OUT_OF_MEMORY;
}
API Result cuMemHostAlloc(void **address, size_t bytes, unsigned flags) { return cuMemAllocHost_v2(address, bytes); }
API Result cuMemFreeHost(void *address) { free(address); return SUCCESS; }

static Result uploaded(size_t bytes) {
    pthread_mutex_lock(&lock);
    counts.uploads++;
    counts.uploaded_bytes += bytes;
    pthread_mutex_unlock(&lock);
    return SUCCESS;
}

static void fill(void *host, size_t bytes) {
    const float two = 2.0f;
    for (size_t i = 0; i + 4 <= bytes; i += 4) memcpy((char *)host + i, &two, 4);
}

static Result was_read(void *host, size_t bytes) {
    fill(host, bytes);
    pthread_mutex_lock(&lock);
    counts.reads++;
    counts.read_bytes += bytes;
    pthread_mutex_unlock(&lock);
    return SUCCESS;
}

API Result cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t bytes, void *stream) { return uploaded(bytes); }
API Result cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t bytes) { return uploaded(bytes); }
API Result cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t bytes, void *stream) { return was_read(to, bytes); }
API Result cuMemcpyDtoH_v2(void *to, uint64_t from, size_t bytes) { return was_read(to, bytes); }
API Result cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, void *stream) { return SUCCESS; }
API Result cuMemsetD8Async(uint64_t to, unsigned char value, size_t bytes, void *stream) { return SUCCESS; }

/* CUDA_MEMCPY2D. */
typedef struct {
    size_t source_x, source_y;
    int source_kind;
    const void *source_host;
    uint64_t source_device;
    void *source_array;
    size_t source_pitch, target_x, target_y;
    int target_kind;
    void *target_host;
    uint64_t target_device;
    void *target_array;
    size_t target_pitch, width, height;
} Copy2D;

enum { HOST = 1 };

API Result cuMemcpy2DAsync_v2(const Copy2D *copy, void *stream) {
    if (copy->source_kind == HOST) return uploaded(copy->width * copy->height);
    if (copy->target_kind != HOST) return SUCCESS;
    for (size_t row = 1; row < copy->height; row++) {
        fill((char *)copy->target_host + row * copy->target_pitch, copy->width);
    }
    return was_read(copy->target_host, copy->width);
}

API Result cuTensorMapEncodeTiled(void *map) { return SUCCESS; }
API Result cuTensorMapEncodeIm2col(void *map) { return SUCCESS; }

/* Modules and kernels. */

API Result cuModuleLoadData(void **module, const void *image) {
    pthread_mutex_lock(&lock);
    const char *folder = getenv("DRY_RUN_OUT");
    char path[4096];
    snprintf(path, sizeof path, "%s/%05lu.ptx", folder ? folder : ".", (unsigned long)counts.modules++);
    FILE *file = folder ? fopen(path, "w") : NULL;
    if (file) {
        fputs(image, file);
        fclose(file);
    }
    pthread_mutex_unlock(&lock);
    *module = handle();
    return SUCCESS;
}

API Result cuModuleUnload(void *module) { return SUCCESS; }

API Result cuModuleGetFunction(void **function, void *module, const char *name) {
    pthread_mutex_lock(&lock);
    Result result = NOT_FOUND;
    if (kernel_count < MOST_KERNELS) {
        Kernel *kernel = &kernels[kernel_count++];
        snprintf(kernel->name, sizeof kernel->name, "%s", name);
        *function = kernel;
        result = SUCCESS;
    }
    pthread_mutex_unlock(&lock);
    return result;
}

API Result cuFuncSetAttribute(void *function, int attribute, int value) { return SUCCESS; }
API Result cuFuncGetAttribute(int *value, int attribute, void *function) { *value = 0; return SUCCESS; }

static Result launched(Kernel *kernel) {
    pthread_mutex_lock(&lock);
    counts.launches++;
    kernel->launches++;
    pthread_mutex_unlock(&lock);
    return SUCCESS;
}

API Result cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                          unsigned shared, void *stream, void **arguments, void **extra) {
    return launched(function);
}
API Result cuLaunchCooperativeKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                                     unsigned bz, unsigned shared, void *stream, void **arguments) {
    return launched(function);
}
API Result cuLaunchKernelEx(const void *config, void *function, void **arguments, void **extra) {
    return launched(function);
}

__attribute__((destructor)) static void report(void) {
    const char *folder = getenv("DRY_RUN_OUT");
    if (!folder) return;
    char path[4096];
    snprintf(path, sizeof path, "%s/counts.json", folder);
    FILE *file = fopen(path, "w");
    if (!file) return;
    fprintf(file,
            "{\"launches\": %lu, \"uploads\": %lu, \"uploaded_bytes\": %lu, \"reads\": %lu, \"read_bytes\": %lu, "
            "\"waits\": %lu, \"modules\": %lu, \"peak_bytes\": %lu, \"kernels\": [",
            counts.launches, counts.uploads, counts.uploaded_bytes, counts.reads, counts.read_bytes, counts.waits,
            counts.modules, counts.peak);
    for (int i = 0; i < kernel_count; i++) {
        fprintf(file, "%s[\"%s\", %lu]", i ? ", " : "", kernels[i].name, kernels[i].launches);
    }
    fputs("]}\n", file);
    fclose(file);
}
