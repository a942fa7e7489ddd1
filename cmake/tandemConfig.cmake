include(CMakeFindDependencyMacro)
find_dependency(Threads)
find_dependency(cereal)
find_dependency(Boost 1.74)
find_dependency(OpenSSL 1.1.1 COMPONENTS Crypto)

include(${CMAKE_CURRENT_LIST_DIR}/tandemTargets.cmake)
