# Toolchain: the `ziglang` wheel, for Android, without the NDK.
#
#   cmake -S delegate -B build/delegate-android -G Ninja \
#     -DCMAKE_TOOLCHAIN_FILE=delegate/cmake/zig_android.cmake -DANDROID_ABI=arm64-v8a \
#     -DZIG="$(python -c 'import ziglang; print(ziglang.__path__[0])')/zig"
#
# zig has no headers of bionic, Android's libc. It compiles against musl's, whose types and
# functions are bionic's as far as the delegate uses them: android/bionic_compat.cc has the rest,
# and android/CMakeLists.txt links to nothing but what android/bionic_symbols.txt lists.
set(ANDROID_ABI "arm64-v8a" CACHE STRING "arm64-v8a or x86_64")
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES ANDROID_ABI)
if(ANDROID_ABI STREQUAL "arm64-v8a")
  set(ZIG_TARGET aarch64-linux-musl)
elseif(ANDROID_ABI STREQUAL "x86_64")
  set(ZIG_TARGET x86_64-linux-musl)
else()
  # 32-bit musl has 64-bit times, bionic has not.
  message(FATAL_ERROR "Expected ANDROID_ABI to be arm64-v8a or x86_64, got ${ANDROID_ABI}. "
                      "Other ABIs need the NDK.")
endif()
include(${CMAKE_CURRENT_LIST_DIR}/zig.cmake)
set(ANDROID TRUE)
set(SPARSEBNN_BIONIC_STUBS TRUE)
