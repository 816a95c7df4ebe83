// The resize for every processor.
#define CAVMAE_RESIZE_ROWS resize_rows_baseline
#define CAVMAE_RESIZE_COLUMNS resize_columns_baseline
#include "cavmae/picture/resize_kernel.h"
