// Mesa's software Vulkan for the tests of a build with the feature `vulkan`, on Mesa older than 23.
//
// CubeCL 0.11.3 declares shared memory in SPIR-V so that those versions crash. This driver forwards everything to
// llvmpipe but says that its memory model lacks the device scope, so that CubeCL compiles through WGSL instead.
/*
    apt-get install mesa-vulkan-drivers libvulkan-dev
    cc -shared -fPIC -o /tmp/driver.so crates/model/tests/llvmpipe/driver.c -ldl
    echo '{"file_format_version": "1.0.0", "ICD": {"api_version": "1.3.0", "library_path": "/tmp/driver.so"}}' > /tmp/driver.json
    VK_ICD_FILENAMES=/tmp/driver.json CUBECL_AUTOTUNE_LEVEL=0 PEFT_BENCH_DEVICE=vulkan \
        cargo test -p peft-model --features vulkan --test fused --test parity --test methods -- --test-threads 1
*/
#define VK_NO_PROTOTYPES
#include <dlfcn.h>
#include <string.h>
#include <vulkan/vulkan.h>

#define EXPORT __attribute__((visibility("default")))

typedef VkResult (*Negotiate)(uint32_t *);

static PFN_vkGetPhysicalDeviceFeatures2 llvmpipe_features;

static void *llvmpipe(const char *symbol) {
    static void *library;
    if (!library) library = dlopen("libvulkan_lvp.so", RTLD_NOW | RTLD_LOCAL);
    return library ? dlsym(library, symbol) : NULL;
}

static void VKAPI_CALL features(VkPhysicalDevice device, VkPhysicalDeviceFeatures2 *asked) {
    llvmpipe_features(device, asked);
    for (VkBaseOutStructure *next = asked->pNext; next; next = next->pNext)
        if (next->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES)
            ((VkPhysicalDeviceVulkanMemoryModelFeatures *)next)->vulkanMemoryModelDeviceScope = VK_FALSE;
}

EXPORT PFN_vkVoidFunction VKAPI_CALL vk_icdGetInstanceProcAddr(VkInstance instance, const char *name) {
    PFN_vkGetInstanceProcAddr find = (PFN_vkGetInstanceProcAddr)llvmpipe("vk_icdGetInstanceProcAddr");
    PFN_vkVoidFunction found = find ? find(instance, name) : NULL;
    if (!found || strncmp(name, "vkGetPhysicalDeviceFeatures2", strlen("vkGetPhysicalDeviceFeatures2"))) return found;
    llvmpipe_features = (PFN_vkGetPhysicalDeviceFeatures2)found;
    return (PFN_vkVoidFunction)features;
}

EXPORT PFN_vkVoidFunction VKAPI_CALL vk_icdGetPhysicalDeviceProcAddr(VkInstance instance, const char *name) {
    return vk_icdGetInstanceProcAddr(instance, name);
}

EXPORT VkResult VKAPI_CALL vk_icdNegotiateLoaderICDInterfaceVersion(uint32_t *version) {
    Negotiate negotiate = (Negotiate)llvmpipe("vk_icdNegotiateLoaderICDInterfaceVersion");
    return negotiate ? negotiate(version) : VK_SUCCESS;
}
