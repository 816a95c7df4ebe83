# Process groups are LibTorch's c10d. LibTorch holds Gloo itself; its header asks for Gloo's, which Debian has in libgloo-dev.
# Without them a program runs as one process.
find_path(CAVMAE_GLOO_INCLUDE_DIR gloo/rendezvous/store.h HINTS ${TORCH_INCLUDE_DIRS})
if(CAVMAE_GLOO_INCLUDE_DIR AND TORCH_API_INCLUDE_DIR)
  set(CAVMAE_DIST_LEFT_OUT "/without_process_group\\.cpp$")
else()
  set(CAVMAE_DIST_LEFT_OUT "/(process_group|meeting|rank_watch)\\.cpp$")
  message(STATUS "libgloo-dev is not installed: no runs of several processes")
endif()
