# What every target of this project is compiled with, and nobody else's.

# The warnings this code is kept clean of.
function(tandem_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # GCC 12 sees an overlap in every "literal" + std::string.
    target_compile_options(${target} PRIVATE -Wno-restrict)
  endif()
endfunction()

# The sanitizer of this build, for the library and everything in the tree that links it.
function(tandem_sanitize target)
  if(TANDEM_SANITIZE STREQUAL "address")
    set(flags -fsanitize=address,undefined -fno-sanitize-recover=all)
  elseif(TANDEM_SANITIZE STREQUAL "thread")
    set(flags -fsanitize=thread)
  elseif(TANDEM_SANITIZE STREQUAL "fuzzer")
    set(flags -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all)
  elseif(TANDEM_SANITIZE)
    message(FATAL_ERROR "TANDEM_SANITIZE is '${TANDEM_SANITIZE}'; it may be address, thread or fuzzer.")
  else()
    return()
  endif()
  target_compile_options(${target} PUBLIC "$<BUILD_INTERFACE:${flags};-fno-omit-frame-pointer>")
  target_link_options(${target} PUBLIC "$<BUILD_INTERFACE:${flags}>")
endfunction()

# A compiler cache can do nothing with a precompiled header of GCC's otherwise.
function(tandem_cache_precompiled target)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(${target} PRIVATE -fpch-preprocess)
  endif()
endfunction()
